#!/usr/bin/env python3
"""The same counts with Spark on this machine: statements by verdict, and masked values by class. Prints one JSON object.

  python with_spark.py evidence

Needs pyspark 3.5 and Java 17. In a cluster, give the bucket's URL instead of a folder."""
import json, sys
from pyspark.sql import SparkSession

store = sys.argv[1]
spark = (
    SparkSession.builder.master("local[2]").appName("evidence")
    .config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC").getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
for name in ("statements", "maskings"):
    # mergeSchema: objects of earlier versions have fewer columns.
    spark.read.option("mergeSchema", "true").parquet(f"{store}/{name}").createOrReplaceTempView(name)
verdicts = spark.sql("""
    SELECT verdict, count(*) AS statement_count FROM statements
    LEFT ANTI JOIN (SELECT gateway, ends_log_index FROM statements WHERE ends_log_index IS NOT NULL) AS ends
      ON ends.gateway = statements.gateway AND ends.ends_log_index = statements.log_index
    WHERE verdict IS NOT NULL GROUP BY verdict ORDER BY verdict""").collect()
masked = spark.sql("SELECT class, coalesce(sum(values_masked), 0) AS masked FROM maskings GROUP BY class ORDER BY class").collect()
print(json.dumps({
    "verdicts": {row["verdict"]: row["statement_count"] for row in verdicts},
    "masked_values": {row["class"]: row["masked"] for row in masked},
}))
spark.stop()
