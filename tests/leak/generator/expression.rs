//! Expressions: a masked or open leaf, and wraps around it, each a trick to get a value past a reader.

use crate::{
    canary::Kind,
    generator::query::{Maker, Relation},
    tables::Holds,
};

/// The types that wraps know. Several kinds of canaries are one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Int,
    Bigint,
    Numeric,
    Uuid,
    Date,
    Time,
    Inet,
    Json,
    List,
    Bytes,
    Xml,
    Pair,
    Row,
    Flag,
}

pub(crate) const fn type_of(holds: Holds) -> Type {
    match holds {
        Holds::Secret(kind) => match kind {
            Kind::Text | Kind::Varchar | Kind::Char | Kind::Mail => Type::Text,
            Kind::Int => Type::Int,
            Kind::Bigint => Type::Bigint,
            Kind::Numeric => Type::Numeric,
            Kind::Uuid => Type::Uuid,
            Kind::Date => Type::Date,
            Kind::Time => Type::Time,
            Kind::Inet => Type::Inet,
            Kind::Json => Type::Json,
            Kind::List => Type::List,
            Kind::Bytes => Type::Bytes,
            Kind::Xml => Type::Xml,
            Kind::Pair => Type::Pair,
        },
        Holds::OpenText => Type::Text,
        Holds::OpenInt => Type::Int,
        Holds::OpenDate => Type::Date,
    }
}

/// What a wrap takes.
#[derive(Clone, Copy)]
enum Takes {
    Any,
    Only(Type),
}

/// `{}` is the wrapped expression, `{id}` an open whole number beside it.
type Wrap = (Takes, &'static str, Option<Type>);

const ANY: Takes = Takes::Any;
const fn only(of: Type) -> Takes {
    Takes::Only(of)
}
/// The result has the type of what it wraps.
const SAME: Option<Type> = None;
const fn gives(of: Type) -> Option<Type> {
    Some(of)
}

/// Wraps of one value.
const WRAPS: &[Wrap] = &[
    (ANY, "({})", SAME),
    (ANY, "({})::text", gives(Type::Text)),
    (ANY, "CAST({} AS text)", gives(Type::Text)),
    (ANY, "{} /* nothing */", SAME),
    (ANY, "coalesce({}, NULL)", SAME),
    (ANY, "coalesce(NULL, {})", SAME),
    (ANY, "CASE WHEN {id} > 0 THEN {} END", SAME),
    (ANY, "CASE {id} WHEN -1 THEN NULL ELSE {} END", SAME),
    (
        ANY,
        "CASE WHEN {} IS NOT NULL THEN 1 ELSE 0 END",
        gives(Type::Int),
    ),
    (ANY, "(SELECT {})", SAME),
    (ANY, "(SELECT x FROM (SELECT {} AS x) AS s LIMIT 1)", SAME),
    (ANY, "(SELECT x FROM (VALUES ({})) AS v (x))", SAME),
    (ANY, "(WITH c AS (SELECT {} AS x) SELECT x FROM c)", SAME),
    (
        ANY,
        "(SELECT x FROM (SELECT NULL AS y UNION ALL SELECT 'n') AS u RIGHT JOIN (SELECT {} AS x) AS s ON true LIMIT 1)",
        SAME,
    ),
    (ANY, "to_json({})::text", gives(Type::Text)),
    (ANY, "to_jsonb({})", gives(Type::Json)),
    (ANY, "json_build_object('k', {})::text", gives(Type::Text)),
    (ANY, "jsonb_build_array({}, {id})", gives(Type::Json)),
    (ANY, "concat({}, '!')", gives(Type::Text)),
    (ANY, "concat_ws('-', {id}, {})", gives(Type::Text)),
    (ANY, "format('%s', {})", gives(Type::Text)),
    (ANY, "quote_literal({})", gives(Type::Text)),
    (ANY, "quote_nullable({})", gives(Type::Text)),
    (ANY, "ROW({}, {id})::text", gives(Type::Text)),
    (ANY, "row_to_json(ROW({}))::text", gives(Type::Text)),
    (ANY, "ARRAY[{}]::text", gives(Type::Text)),
    (ANY, "array_to_string(ARRAY[{}], ',')", gives(Type::Text)),
    (ANY, "xmlforest({} AS k)::text", gives(Type::Text)),
    (ANY, "xmlelement(name k, {})::text", gives(Type::Text)),
    (ANY, "{} IS NULL", gives(Type::Flag)),
    (ANY, "pg_column_size({})", gives(Type::Int)),
    (ANY, "num_nulls({})", gives(Type::Int)),
    (ANY, "shown({}::text)", gives(Type::Text)),
    (only(Type::Text), "{} || ''", SAME),
    (only(Type::Text), "'<' || {} || '>'", SAME),
    (only(Type::Text), "upper({})", SAME),
    (only(Type::Text), "lower({})", SAME),
    (only(Type::Text), "initcap({})", SAME),
    (only(Type::Text), "reverse({})", SAME),
    (only(Type::Text), "substr({}, 1, 20)", SAME),
    (only(Type::Text), "substring({} from 1 for 12)", SAME),
    (only(Type::Text), "substring({} from '^.*$')", SAME),
    (only(Type::Text), "left({}, 15)", SAME),
    (only(Type::Text), "right({}, 15)", SAME),
    (only(Type::Text), "trim(both 'a' from {})", SAME),
    (
        only(Type::Text),
        "overlay({} placing 'x' from 1 for 0)",
        SAME,
    ),
    (only(Type::Text), "replace({}, '-', '')", SAME),
    (only(Type::Text), "translate({}, 'x', 'x')", SAME),
    (only(Type::Text), "regexp_replace({}, '^', '')", SAME),
    (only(Type::Text), "split_part({}, '-', 1)", SAME),
    (only(Type::Text), "rpad({}, 60, '.')", SAME),
    (only(Type::Text), "repeat({}, 2)", SAME),
    (only(Type::Text), "nullif({}, '')", SAME),
    (only(Type::Text), "greatest({}, '')", SAME),
    (only(Type::Text), "{} COLLATE \"C\"", SAME),
    (only(Type::Text), "{}::varchar(80)", SAME),
    (only(Type::Text), "{}::name::text", SAME),
    (only(Type::Text), "md5({})", SAME),
    (only(Type::Text), "length({})", gives(Type::Int)),
    (only(Type::Text), "ascii({})", gives(Type::Int)),
    (only(Type::Text), "strpos({}, '-')", gives(Type::Int)),
    (only(Type::Text), "hashtext({})", gives(Type::Int)),
    (only(Type::Text), "{} LIKE 'b%'", gives(Type::Flag)),
    (only(Type::Text), "{} ~ '^[b-h]'", gives(Type::Flag)),
    (only(Type::Text), "{} > 'm'", gives(Type::Flag)),
    (only(Type::Text), "{}::bytea", gives(Type::Bytes)),
    (
        only(Type::Text),
        "convert_to({}, 'UTF8')",
        gives(Type::Bytes),
    ),
    (
        only(Type::Text),
        "string_to_array({}, '-')",
        gives(Type::List),
    ),
    (
        only(Type::Text),
        "regexp_split_to_array({}, '-')",
        gives(Type::List),
    ),
    (only(Type::Text), "ARRAY[{}, 'x']", gives(Type::List)),
    (
        only(Type::Text),
        "array_append(NULL::text[], {})",
        gives(Type::List),
    ),
    (only(Type::Text), "to_tsvector('simple', {})::text", SAME),
    (
        only(Type::Text),
        "plainto_tsquery('simple', {})::text",
        SAME,
    ),
    (only(Type::Text), "ts_headline({}, ''::tsquery)", SAME),
    (only(Type::Text), "xmlparse(content {})::text", SAME),
    (only(Type::Text), "xmlcomment({})::text", SAME),
    (only(Type::Text), "shade.upper({})", SAME),
    (only(Type::Text), "public.shown({})", SAME),
    (only(Type::Text), "(({}, {id})::pair).label", SAME),
    (only(Type::Text), "ROW({}, {id})::pair", gives(Type::Pair)),
    (only(Type::Text), "{}::xml", gives(Type::Xml)),
    (only(Type::Text), "{}::int", gives(Type::Int)),
    (only(Type::Text), "{}::date", gives(Type::Date)),
    (
        only(Type::Text),
        "('{\"a\": \"' || {} || '\"}')::jsonb",
        gives(Type::Json),
    ),
    (
        only(Type::Text),
        "pg_input_is_valid({}, 'integer')",
        gives(Type::Flag),
    ),
    (only(Type::Text), "current_setting({}, true)", SAME),
    (only(Type::Text), "U&'\\0021' || {}", SAME),
    (only(Type::Int), "{} + 0", SAME),
    (only(Type::Int), "- {}", SAME),
    (only(Type::Int), "to_hex({})", gives(Type::Text)),
    (
        only(Type::Int),
        "to_char({}, '9,999,999,999')",
        gives(Type::Text),
    ),
    (only(Type::Int), "chr(65 + {} % 26)", gives(Type::Text)),
    (only(Type::Int), "{}::bigint", gives(Type::Bigint)),
    (only(Type::Int), "{}::numeric", gives(Type::Numeric)),
    (only(Type::Int), "{}::float8::text", gives(Type::Text)),
    (only(Type::Int), "{} * 2", SAME),
    (only(Type::Int), "10 / ({} - {})", SAME),
    (only(Type::Int), "{} = {id}", gives(Type::Flag)),
    (
        only(Type::Int),
        "int4range({}, NULL)::text",
        gives(Type::Text),
    ),
    (
        only(Type::Int),
        "array_length(array_fill(0, ARRAY[{} % 50 + 1]), 1)",
        SAME,
    ),
    (
        only(Type::Int),
        "make_interval(secs => {})::text",
        gives(Type::Text),
    ),
    (only(Type::Bigint), "{} + 0", SAME),
    (only(Type::Bigint), "{}::numeric", gives(Type::Numeric)),
    (only(Type::Bigint), "to_hex({})", gives(Type::Text)),
    (only(Type::Bigint), "{}::integer", gives(Type::Int)),
    (only(Type::Bigint), "{} % 1000000007", SAME),
    (only(Type::Bigint), "{}::bit(64)::text", gives(Type::Text)),
    (
        only(Type::Bigint),
        "int8range({}, {})::text",
        gives(Type::Text),
    ),
    (only(Type::Numeric), "{} * 1", SAME),
    (only(Type::Numeric), "round({}, 4)", SAME),
    (only(Type::Numeric), "trunc({})", SAME),
    (only(Type::Numeric), "{}::bigint", gives(Type::Bigint)),
    (
        only(Type::Numeric),
        "to_char({}, '999999999999.99')",
        gives(Type::Text),
    ),
    (only(Type::Uuid), "{}::text", gives(Type::Text)),
    (only(Type::Uuid), "uuid_send({})", gives(Type::Bytes)),
    (only(Type::Date), "{} + 0", SAME),
    (
        only(Type::Date),
        "to_char({}, 'YYYY-MM-DD')",
        gives(Type::Text),
    ),
    (
        only(Type::Date),
        "extract(epoch from {})",
        gives(Type::Numeric),
    ),
    (only(Type::Date), "{}::timestamp::text", gives(Type::Text)),
    (
        only(Type::Date),
        "daterange({}, NULL)::text",
        gives(Type::Text),
    ),
    (only(Type::Date), "{} - date '2000-01-01'", gives(Type::Int)),
    (only(Type::Time), "{} AT TIME ZONE 'UTC'", gives(Type::Text)),
    (
        only(Type::Time),
        "to_char({}, 'HH24:MI:SS.US')",
        gives(Type::Text),
    ),
    (
        only(Type::Time),
        "extract(epoch from {})",
        gives(Type::Numeric),
    ),
    (only(Type::Time), "date_trunc('microseconds', {})", SAME),
    (only(Type::Time), "{}::time::text", gives(Type::Text)),
    (only(Type::Inet), "host({})", gives(Type::Text)),
    (only(Type::Inet), "{}::cidr::text", gives(Type::Text)),
    (only(Type::Inet), "set_masklen({}, 128)", SAME),
    (only(Type::Inet), "abbrev({})", gives(Type::Text)),
    (only(Type::Json), "{} ->> 'word'", gives(Type::Text)),
    (only(Type::Json), "{} #>> '{word}'", gives(Type::Text)),
    (only(Type::Json), "{}['word']", gives(Type::Json)),
    (only(Type::Json), "{} -> 'number'", gives(Type::Json)),
    (
        only(Type::Json),
        "jsonb_path_query_first({}, '$.word')",
        gives(Type::Json),
    ),
    (only(Type::Json), "jsonb_pretty({})", gives(Type::Text)),
    (only(Type::Json), "jsonb_set({}, '{x}', '1')", SAME),
    (only(Type::Json), "{} || '{\"x\": 1}'", SAME),
    (
        only(Type::Json),
        "{} @? '$.word ? (@ starts with \"b\")'",
        gives(Type::Flag),
    ),
    (
        only(Type::Json),
        "(SELECT string_agg(value, ',') FROM jsonb_each_text({}))",
        gives(Type::Text),
    ),
    (
        only(Type::Json),
        "(SELECT r.word FROM jsonb_to_record({}) AS r (word text))",
        gives(Type::Text),
    ),
    (
        only(Type::Json),
        "(jsonb_populate_record(NULL::pair, jsonb_build_object('label', {}))).label",
        gives(Type::Text),
    ),
    (only(Type::List), "{}[1]", gives(Type::Text)),
    (only(Type::List), "{}[1:2]", SAME),
    (
        only(Type::List),
        "array_to_string({}, '-')",
        gives(Type::Text),
    ),
    (
        only(Type::List),
        "(SELECT string_agg(u, '-') FROM unnest({}) AS u)",
        gives(Type::Text),
    ),
    (only(Type::List), "{} || ARRAY['x']", SAME),
    (only(Type::List), "cardinality({})", gives(Type::Int)),
    (only(Type::List), "'b' < ANY ({})", gives(Type::Flag)),
    (only(Type::List), "to_jsonb({})", gives(Type::Json)),
    (only(Type::Bytes), "encode({}, 'hex')", gives(Type::Text)),
    (only(Type::Bytes), "encode({}, 'base64')", gives(Type::Text)),
    (only(Type::Bytes), "encode({}, 'escape')", gives(Type::Text)),
    (
        only(Type::Bytes),
        "convert_from({}, 'UTF8')",
        gives(Type::Text),
    ),
    (only(Type::Bytes), "substr({}, 1, 20)", SAME),
    (only(Type::Bytes), "{} || '\\x00'::bytea", SAME),
    (only(Type::Bytes), "get_byte({}, 0)", gives(Type::Int)),
    (only(Type::Bytes), "sha256({})", SAME),
    (
        only(Type::Xml),
        "xmlserialize(content {} AS text)",
        gives(Type::Text),
    ),
    (
        only(Type::Xml),
        "xpath('/v/text()', {})::text",
        gives(Type::Text),
    ),
    (only(Type::Xml), "xmlconcat({}, '<x/>')", SAME),
    (
        only(Type::Xml),
        "(SELECT t.v FROM xmltable('/v' PASSING {} COLUMNS v text PATH '.') AS t)",
        gives(Type::Text),
    ),
    (only(Type::Pair), "({}).label", gives(Type::Text)),
    (only(Type::Pair), "({}).amount", gives(Type::Bigint)),
    (only(Type::Pair), "label({})", gives(Type::Text)),
    (only(Type::Pair), "row_to_json({})::text", gives(Type::Text)),
    (only(Type::Row), "to_jsonb({})", gives(Type::Json)),
    (only(Type::Row), "row_to_json({})::text", gives(Type::Text)),
    (only(Type::Row), "hashtext(({})::text)", gives(Type::Int)),
    (only(Type::Flag), "NOT {}", SAME),
    (only(Type::Flag), "{}::int", gives(Type::Int)),
    (only(Type::Flag), "({} OR false)", SAME),
];

/// Wraps that make one value of many rows; only where the query groups.
const AGGREGATES: &[Wrap] = &[
    (ANY, "string_agg({}::text, ',')", gives(Type::Text)),
    (ANY, "string_agg(DISTINCT {}::text, ',')", gives(Type::Text)),
    (
        ANY,
        "string_agg({}::text, ',' ORDER BY {id} DESC)",
        gives(Type::Text),
    ),
    (ANY, "array_agg({})::text", gives(Type::Text)),
    (
        ANY,
        "(array_agg({} ORDER BY {id}))[1]::text",
        gives(Type::Text),
    ),
    (ANY, "json_agg({})::text", gives(Type::Text)),
    (ANY, "jsonb_agg({})", gives(Type::Json)),
    (ANY, "json_object_agg({id}, {})::text", gives(Type::Text)),
    (ANY, "count({})", gives(Type::Bigint)),
    (ANY, "count(DISTINCT {}::text)", gives(Type::Bigint)),
    (
        ANY,
        "count(*) FILTER (WHERE {} IS NOT NULL)",
        gives(Type::Bigint),
    ),
    (
        ANY,
        "xmlagg(xmlelement(name k, {}))::text",
        gives(Type::Text),
    ),
    (ANY, "bool_or({}::text > 'm')", gives(Type::Flag)),
    (ANY, "min({}::text)", gives(Type::Text)),
    (
        ANY,
        "max({}::text) FILTER (WHERE {id} > 0)",
        gives(Type::Text),
    ),
    (
        ANY,
        "mode() WITHIN GROUP (ORDER BY {}::text)",
        gives(Type::Text),
    ),
    (
        ANY,
        "percentile_disc(0.5) WITHIN GROUP (ORDER BY {}::text)",
        gives(Type::Text),
    ),
    (
        ANY,
        "rank('m') WITHIN GROUP (ORDER BY {}::text)",
        gives(Type::Bigint),
    ),
    (only(Type::Int), "sum({})", gives(Type::Bigint)),
    (only(Type::Bigint), "avg({})", gives(Type::Numeric)),
    (only(Type::Bigint), "bit_xor({})", SAME),
    (only(Type::Numeric), "sum({})", SAME),
    (only(Type::Int), "collect({})", gives(Type::Text)),
];

/// Wraps over the rows around.
const WINDOWS: &[Wrap] = &[
    (ANY, "first_value({}) OVER (ORDER BY {id})", SAME),
    (
        ANY,
        "last_value({}) OVER (ORDER BY {id} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
        SAME,
    ),
    (ANY, "nth_value({}, 2) OVER (ORDER BY {id})", SAME),
    (ANY, "lag({}) OVER (ORDER BY {id})", SAME),
    (ANY, "lead({}, 1) OVER w", SAME),
    (ANY, "max({}::text) OVER w", gives(Type::Text)),
    (
        ANY,
        "string_agg({}::text, ',') OVER (PARTITION BY {id} > 0 ORDER BY {id} GROUPS 1 PRECEDING)",
        gives(Type::Text),
    ),
    (ANY, "array_agg({}) OVER ()::text", gives(Type::Text)),
    (
        ANY,
        "count(*) OVER (PARTITION BY {}::text)",
        gives(Type::Bigint),
    ),
    (ANY, "rank() OVER (ORDER BY {}::text)", gives(Type::Bigint)),
    (ANY, "ntile(2) OVER (ORDER BY {}::text)", gives(Type::Int)),
];

/// What tame scripts have: wraps that take every value and give one back, so that a masked value may go through them.
const TAME: &[&str] = &[
    "({})",
    "({})::text",
    "CAST(",
    "{} /*",
    "coalesce(",
    "CASE WHEN {id}",
    "(SELECT {})",
    "(SELECT x FROM (VALUES",
    "(WITH c",
    "to_jsonb({})",
    "concat(",
    "concat_ws(",
    "ARRAY[{}]::text",
    "to_json(",
    "{} || ''",
    "'<' ||",
    "upper(",
    "lower(",
    "reverse(",
    "md5(",
    "length(",
    "left(",
    "array_agg({})::text",
    "string_agg({}::text, ',')",
    "string_agg({}::text, ',' ORDER BY {id}",
    "json_agg(",
    "jsonb_agg(",
    "count({})",
    "max({}::text)",
    "min({}::text)",
    "first_value(",
    "last_value(",
    "lag(",
    "lead(",
    "sum({})",
];

/// Whole expressions that need no table in sight.
const ELSEWHERE: &[(&str, Type)] = &[
    ("(SELECT secret_text FROM people WHERE id = 1)", Type::Text),
    (
        "(SELECT string_agg(secret_iban, ',') FROM accounts)",
        Type::Text,
    ),
    ("(SELECT max(secret_bigint) FROM people)", Type::Bigint),
    ("(SELECT p FROM people AS p LIMIT 1)::text", Type::Text),
    (
        "(SELECT p.secret_pair FROM people AS p LIMIT 1)",
        Type::Pair,
    ),
    ("(SELECT to_jsonb(p) FROM people AS p LIMIT 1)", Type::Json),
    ("(ARRAY(SELECT secret_text FROM people))[1]", Type::Text),
    ("ARRAY(SELECT secret_varchar FROM people)::text", Type::Text),
    ("(TABLE vault.keys LIMIT 1)::text", Type::Text),
    ("(SELECT code FROM people_view LIMIT 1)", Type::Text),
    ("(SELECT code FROM people_copy LIMIT 1)", Type::Text),
    ("(SELECT shouted FROM people LIMIT 1)", Type::Text),
    ("first_secret()", Type::Text),
    ("public.secret_of(1)", Type::Text),
    ("told(1)", Type::Text),
    ("noticed(1)", Type::Int),
    ("raised(1)", Type::Int),
    ("dynamic('SELECT secret_text FROM people')", Type::Text),
    ("(SELECT collect(id) FROM people)", Type::Text),
    ("@# 1", Type::Text),
    ("1 OPERATOR(public.@#) 1", Type::Text),
    ("OPERATOR(public.@#) 2", Type::Text),
    ("(1::pair).label", Type::Text),
    ("CAST(2 AS pair)::text", Type::Text),
    ("(SELECT code_of(p) FROM people AS p LIMIT 1)", Type::Text),
    ("(SELECT p.code_of FROM people AS p LIMIT 1)", Type::Text),
    (
        "(SELECT secret_text(p) FROM people AS p LIMIT 1)",
        Type::Text,
    ),
    (
        "EXISTS (SELECT 1 FROM people WHERE secret_text > 'm')",
        Type::Flag,
    ),
    (
        "(SELECT count(*) FROM people WHERE secret_int > 2120000000)",
        Type::Bigint,
    ),
    (
        "query_to_xml('SELECT secret_text FROM people', true, true, '')::text",
        Type::Text,
    ),
    ("table_to_xml('people', true, true, '')::text", Type::Text),
    ("current_setting('leak.kept', true)", Type::Text),
    (
        "(SELECT secret_text FROM people ORDER BY id OFFSET 1 FETCH FIRST ROW ONLY)",
        Type::Text,
    ),
    (
        "1 + (SELECT 1 / (count(*) - 3) FROM people WHERE secret_text > 'm')",
        Type::Bigint,
    ),
];

fn fill(template: &str, inner: &str, id: &str) -> String {
    template.replace("{id}", id).replace("{}", inner)
}

impl Maker<'_> {
    /// A column name as somebody might write it who hopes to slip by.
    fn spelled(&mut self, alias: &str, column: &str) -> String {
        let quoted = column.starts_with('"');
        let plain = column.trim_matches('"');
        match self.random.below(24) {
            0 => format!("({alias}).{column}"),
            1 => format!("{alias} . {column}"),
            2 => format!("{alias}/**/./* x */{column}"),
            3 if !quoted => format!("{alias}.\"{column}\""),
            4 if !quoted => format!("{alias}.{}", column.to_uppercase()),
            5 if !quoted => format!(
                "{alias}.U&\"\\{:04x}{}\"",
                u32::from(plain.as_bytes()[0]),
                &plain[1..]
            ),
            6 => format!(
                "{alias}.U&\"!{:04x}{}\" UESCAPE '!'",
                u32::from(plain.as_bytes()[0]),
                &plain[1..]
            ),
            7 => format!("{alias} -- ;\n.{column}"),
            8 if !quoted => format!("{column}({alias})"),
            9 => column.to_owned(),
            _ => format!("{alias}.{column}"),
        }
    }

    /// A column, a whole row or something from elsewhere.
    fn leaf(&mut self, scope: &[Relation]) -> (String, Type) {
        if scope.is_empty() || (!self.tame && self.random.chance(8)) {
            let (sql, of) = *self.random.pick(ELSEWHERE);
            return (sql.to_owned(), of);
        }
        let relation = self.random.pick(scope).clone();
        let alias = &relation.alias;
        match self.random.below(20) {
            0 => (alias.clone(), Type::Row),
            1 => (format!("{alias}.*::text"), Type::Text),
            2 => (format!("ROW({alias}.*)"), Type::Row),
            3 => (format!("({alias}.*)::text"), Type::Text),
            _ => {
                let secrets: Vec<_> = relation
                    .columns
                    .iter()
                    .filter(|column| matches!(column.holds, Holds::Secret(_)))
                    .collect();
                let column = if !secrets.is_empty() && self.random.chance(80) {
                    (*self.random.pick(&secrets)).clone()
                } else {
                    self.random.pick(&relation.columns).clone()
                };
                (self.spelled(alias, &column.name), type_of(column.holds))
            }
        }
    }

    fn wrap(&mut self, wraps: &[Wrap], inner: (String, Type), id: &str) -> (String, Type) {
        let fitting: Vec<&Wrap> = wraps
            .iter()
            .filter(|(takes, template, _)| {
                let fits = match takes {
                    Takes::Any => true,
                    Takes::Only(of) => *of == inner.1,
                };
                fits && (!self.tame || TAME.iter().any(|word| template.starts_with(word)))
            })
            .collect();
        // Wraps of the very type are what tells types apart: take them more often than their number would.
        let own: Vec<&&Wrap> = fitting
            .iter()
            .filter(|(takes, ..)| matches!(takes, Takes::Only(_)))
            .collect();
        let (_, template, gives) = if !own.is_empty() && self.random.chance(50) {
            ***self.random.pick(&own)
        } else {
            **self.random.pick(&fitting)
        };
        (fill(template, &inner.0, id), gives.unwrap_or(inner.1))
    }

    /// An open whole number in scope.
    fn id(scope: &[Relation]) -> String {
        scope
            .iter()
            .find_map(|relation| {
                let column = relation
                    .columns
                    .iter()
                    .find(|column| column.holds == Holds::OpenInt)?;
                Some(format!("{}.{}", relation.alias, column.name))
            })
            .unwrap_or_else(|| "1".to_owned())
    }

    /// Any expression over the scope.
    pub(crate) fn expression(&mut self, scope: &[Relation]) -> (String, Type) {
        let id = Self::id(scope);
        let mut made = self.leaf(scope);
        for _ in 0..self.random.below(if self.tame { 3 } else { 4 }) {
            made = self.wrap(WRAPS, made, &id);
        }
        made
    }

    /// The same, of many rows.
    pub(crate) fn aggregate(&mut self, scope: &[Relation]) -> (String, Type) {
        let id = Self::id(scope);
        let inner = self.expression(scope);
        self.wrap(AGGREGATES, inner, &id)
    }

    /// The same, over the rows around.
    pub(crate) fn window(&mut self, scope: &[Relation]) -> (String, Type) {
        let id = Self::id(scope);
        let inner = self.expression(scope);
        self.wrap(WINDOWS, inner, &id)
    }

    /// A condition on open columns mostly, so that masked outputs are reached.
    pub(crate) fn condition(&mut self, scope: &[Relation]) -> String {
        let id = Self::id(scope);
        if self.tame || self.random.chance(85) {
            return fill(
                self.random.word(&[
                    "true",
                    "{id} > 0",
                    "{id} IN (1, 2, 3)",
                    "{id} BETWEEN 1 AND 3",
                    "{id} = ANY (ARRAY[1, 2])",
                    "NOT {id} < 0",
                    "{id} IS NOT NULL",
                    "1 = 1 AND {id} < 100",
                ]),
                "",
                &id,
            );
        }
        let (made, of) = self.expression(scope);
        match of {
            Type::Flag => made,
            Type::Int | Type::Bigint | Type::Numeric => format!("{made} > 0"),
            _ => fill(
                self.random.word(&[
                    "{} IS NOT NULL",
                    "{}::text > 'm'",
                    "length({}::text) > 3",
                    "{} IS DISTINCT FROM NULL",
                    "EXISTS (SELECT 1 WHERE {}::text LIKE 'b%')",
                    "1 / (ascii({}::text) - 100) >= 0",
                    "CASE WHEN {}::text > 'm' THEN {id} > 0 ELSE false END",
                ]),
                &made,
                &id,
            ),
        }
    }
}
