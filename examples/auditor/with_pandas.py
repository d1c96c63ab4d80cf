#!/usr/bin/env python3
"""Counts a store's statements by verdict, and masked values by class, with pandas. Prints one JSON object.

  python with_pandas.py evidence

Needs pandas and pyarrow."""
import json, pathlib, sys
import pandas


def dataset(store, name, columns):
    files = sorted(pathlib.Path(store, name).glob("date=*/*.parquet"))
    frames = [pandas.read_parquet(file, columns=columns, partitioning=None, dtype_backend="pyarrow") for file in files]
    return pandas.concat(frames) if frames else pandas.DataFrame(columns=columns)


def counted_once(statements):
    """A statement that was still open when it was sealed has a second row, with its end, which names the first."""
    ends = statements.loc[statements["ends_log_index"].notna(), ["gateway", "ends_log_index"]]
    ended = set(ends.itertuples(index=False, name=None))
    keys = statements[["gateway", "log_index"]].itertuples(index=False, name=None)
    return statements[[key not in ended for key in keys]]


store = sys.argv[1]
statements = counted_once(dataset(store, "statements", ["gateway", "log_index", "verdict", "ends_log_index"]))
maskings = dataset(store, "maskings", ["class", "values_masked"])
print(json.dumps({
    "verdicts": {verdict: int(count) for verdict, count in statements["verdict"].value_counts().sort_index().items()},
    "masked_values": {name: int(count) for name, count in maskings.groupby("class")["values_masked"].sum().sort_index().items()},
}))
