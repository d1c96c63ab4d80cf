//! Rules compiled for deciding: the decision graph.
