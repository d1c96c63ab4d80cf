//! The built-in functions that a module may call: those that say the same of the same arguments on every machine, and whose
//! result is not much larger than what they are given. Whatever is not listed is refused at load.

use regorus::{
    LimitError, Value,
    unstable::{BUILTINS, BuiltinFcn, Span},
};

use super::guard::{
    Failure, VALUE_BYTES, charge, concat, end, nothing, number, pieces, places, regex_replace,
    replace, replace_n, sprintf, text, to_value, whole, written,
};

/// A function of regorus, charged for what an estimate says of its arguments.
macro_rules! function {
    ($name:literal, $estimate:expr) => {
        (
            $name,
            (
                |span: &Span, parameters, arguments: &[Value], strict| {
                    let estimate: fn(&[Value]) -> usize = $estimate;
                    charge(estimate(arguments))?;
                    let failed = || end(Failure::Call($name));
                    let (function, _) = BUILTINS.get($name).ok_or_else(failed)?;
                    match function(span, parameters, arguments, strict) {
                        // Of nothing at all there is no greatest.
                        Ok(Value::Undefined) if !matches!($name, "max" | "min") => {
                            Err(failed().into())
                        }
                        Err(error) if !error.is::<LimitError>() => Err(failed().into()),
                        made => made,
                    }
                },
                // How many arguments it takes is known from the function that it stands for.
                0,
            ),
        )
    };
}

/// Every function that a module may call. Sorted, by name.
const FUNCTIONS: &[(&str, BuiltinFcn)] = &[
    function!("__builtin_sets.intersection", whole),
    function!("__builtin_sets.union", whole),
    function!("abs", nothing),
    function!("array.concat", places),
    function!("array.reverse", places),
    function!("array.slice", places),
    function!("base64.decode", written),
    function!("base64.encode", written),
    function!("base64.is_valid", nothing),
    function!("base64url.decode", written),
    function!("base64url.encode", written),
    function!("base64url.encode_no_pad", written),
    function!("bits.and", nothing),
    function!("bits.negate", nothing),
    function!("bits.or", nothing),
    function!("bits.rsh", nothing),
    function!("bits.xor", nothing),
    function!("ceil", nothing),
    function!("concat", concat),
    function!("contains", nothing),
    function!("count", nothing),
    function!("endswith", nothing),
    function!("floor", nothing),
    function!("format_int", written),
    function!("glob.match", whole),
    function!("glob.quote_meta", written),
    function!("graph.reachable", whole),
    function!("hex.decode", written),
    function!("hex.encode", written),
    function!("indexof", nothing),
    function!("indexof_n", pieces),
    function!("intersection", whole),
    function!("is_array", nothing),
    function!("is_boolean", nothing),
    function!("is_null", nothing),
    function!("is_number", nothing),
    function!("is_object", nothing),
    function!("is_set", nothing),
    function!("is_string", nothing),
    function!("json.filter", whole),
    function!("json.is_valid", nothing),
    function!("json.marshal", written),
    function!("json.remove", whole),
    (
        "json.unmarshal",
        (
            |_: &Span, _, arguments: &[Value], _| {
                let text = arguments.first().map_or("", text);
                charge(text.len().saturating_mul(VALUE_BYTES))?;
                // The library's own reading takes some objects for numbers, and numbers of any exponent.
                let json = serde_json::from_str(text);
                Ok(to_value(
                    &json.map_err(|_| end(Failure::Call("json.unmarshal")))?,
                ))
            },
            1,
        ),
    ),
    function!("lower", written),
    function!("max", whole),
    function!("min", whole),
    function!("net.cidr_contains", nothing),
    function!("net.cidr_is_valid", nothing),
    function!("object.filter", whole),
    function!("object.get", nothing),
    function!("object.keys", places),
    function!("object.remove", whole),
    function!("object.subset", whole),
    function!("object.union", whole),
    function!("object.union_n", whole),
    function!("product", written),
    function!("regex.find_n", pieces),
    function!("regex.is_valid", nothing),
    function!("regex.match", nothing),
    function!("regex.replace", regex_replace),
    function!("regex.split", pieces),
    function!("replace", replace),
    function!("round", nothing),
    function!("semver.compare", nothing),
    function!("semver.is_valid", nothing),
    function!("sort", whole),
    function!("split", pieces),
    function!("sprintf", sprintf),
    function!("startswith", nothing),
    function!("strings.any_prefix_match", nothing),
    function!("strings.any_suffix_match", nothing),
    function!("strings.count", nothing),
    function!("strings.replace_n", replace_n),
    function!("strings.reverse", written),
    function!("substring", written),
    function!("sum", nothing),
    function!("time.parse_duration_ns", nothing),
    function!("time.parse_rfc3339_ns", nothing),
    function!("to_number", number),
    function!("trim", written),
    function!("trim_left", written),
    function!("trim_prefix", written),
    function!("trim_right", written),
    function!("trim_space", written),
    function!("trim_suffix", written),
    function!("type_name", nothing),
    function!("union", whole),
    function!("units.parse", number),
    function!("units.parse_bytes", number),
    function!("upper", written),
    function!("urlquery.decode", written),
    function!("urlquery.encode", written),
];

/// A function that a module may call, guarded.
pub(super) fn function(name: &str) -> Option<BuiltinFcn> {
    let place = FUNCTIONS
        .binary_search_by(|(listed, _)| (*listed).cmp(name))
        .ok()?;
    FUNCTIONS.get(place).map(|(_, function)| *function)
}

/// Namespaces of OPA's built-in functions that hold nothing a module may call, or little, with what to do instead. A name of
/// its own ends without a dot.
const REFUSED: &[(&str, &str)] = &[
    (
        "time.",
        "`input.time` is the moment of deciding, in UTC; windows in other time zones are for rules in `.pol`",
    ),
    ("rand.", "the same facts must give the same decision"),
    ("uuid.", "the same facts must give the same decision"),
    ("http.", "a module reads `input` and nothing else"),
    (
        "net.lookup_ip_addr",
        "a module reads `input` and nothing else",
    ),
    ("opa.", "a module reads `input` and nothing else"),
    (
        "io.",
        "tokens were verified before: their claims are in `input.principal.claims`",
    ),
    (
        "walk",
        "the virtual machine can't iterate over it; name the parts that are looked at",
    ),
    ("crypto.", "keyed hashes are the mask `hash`"),
    ("test.", "the same facts must give the same decision"),
    ("trace", "a decision names its reasons: use `because`"),
    ("print", "a decision names its reasons: use `because`"),
    (
        "net.cidr_expand",
        "its result is far larger than what it is given; use `net.cidr_contains`",
    ),
    (
        "numbers.range",
        "its result is far larger than what it is given",
    ),
    (
        "numbers.range_step",
        "its result is far larger than what it is given",
    ),
    ("bits.lsh", "its result is far larger than what it is given"),
    (
        "graph.reachable_paths",
        "its result is far larger than what it is given; use `graph.reachable`",
    ),
];

/// Why a function may not be called, if it is a built-in one that may not.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    if function(name).is_some() {
        return None;
    }
    let listed = REFUSED.iter().find(|(refused, _)| {
        name == *refused || (refused.ends_with('.') && name.starts_with(refused))
    });
    match listed {
        Some((_, instead)) => Some(instead),
        None if BUILTINS.contains_key(name) => {
            Some("it is not among the functions that modules may call")
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_known() {
        assert!(
            FUNCTIONS.is_sorted_by_key(|(name, _)| *name),
            "for the binary search"
        );
        for (name, _) in FUNCTIONS {
            assert!(BUILTINS.contains_key(name), "{name} exists");
        }
    }

    /// Whoever updates regorus decides on each new function.
    #[test]
    fn every_other_function_is_refused() {
        for name in BUILTINS.keys() {
            assert_eq!(refusal(name).is_none(), function(name).is_some(), "{name}");
        }
        for name in [
            "time.now_ns",
            "rand.intn",
            "http.send",
            "io.jwt.decode",
            "opa.runtime",
            "net.lookup_ip_addr",
        ] {
            assert!(refusal(name).is_some(), "{name}");
        }
    }
}
