//! Policies, sessions and statements made at random, from few names, so that they meet often.

mod condition;
mod names;
mod policy;
mod session;
mod statement;

pub(crate) use self::{
    policy::{Shape, approval, effect, limits, rule, rule_set},
    session::{Surroundings, TEXTS, surroundings},
    statement::facts,
};
