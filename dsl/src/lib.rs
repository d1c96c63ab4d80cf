//! The Provost policy language: text to decision graph.
