//! Types that are not the server's own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::null_is_empty;

/// What a user type is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TypeKind {
    /// A base type.
    #[serde(rename = "b")]
    Base,
    /// A composite type or a relation's row type.
    #[serde(rename = "c")]
    Composite,
    /// A domain.
    #[serde(rename = "d")]
    Domain,
    /// An enum.
    #[serde(rename = "e")]
    Enum,
    /// A pseudo-type.
    #[serde(rename = "p")]
    Pseudo,
    /// A range.
    #[serde(rename = "r")]
    Range,
    /// A multirange.
    #[serde(rename = "m")]
    Multirange,
    /// An array of `element`.
    #[serde(rename = "a")]
    Array,
}

/// A type that is not the server's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserType {
    /// Its oid.
    pub oid: u32,
    /// Exact schema name.
    pub schema: Arc<str>,
    /// Exact name.
    pub name: Arc<str>,
    /// What sort of type.
    pub kind: TypeKind,
    /// An array's element or a domain's base; 0 for none.
    pub element: u32,
    /// A composite's relation; 0 for none.
    pub relation: u32,
    /// A domain with constraints.
    pub constrained: bool,
    /// A domain's check expressions over `VALUE`, deparsed, and its default where that is more than a constant.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub checks: Vec<Arc<str>>,
    /// Users' functions that the server calls by itself over its values, where they do more than compute: its input and
    /// output, a range's difference and canonical form, what its operator classes compare and hash with.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub support: Vec<u32>,
}
