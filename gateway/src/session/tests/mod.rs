//! The session against scripted peers, and against a model of the server over random pipelines. No sockets.

mod broken;
mod copies;
mod garbage;
mod harness;
mod limits;
mod looks;
mod model;
mod people;
mod pins;
mod pipelines;
mod replication;
mod results;
mod waiting;
mod whole;
mod words;
