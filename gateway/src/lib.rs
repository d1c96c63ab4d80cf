//! The PostgreSQL gateway of Provost: protocol, identity, enforcement.
