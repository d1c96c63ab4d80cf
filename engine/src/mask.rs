//! The transforms that masked values go through. Never lets a raw value through on doubt: what a type can't carry becomes NULL.
