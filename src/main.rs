//! The `provost` command line: parses arguments, dispatches, says why it failed. Nothing else is done here.

mod cli;
mod commands;
mod config;
mod demo;
mod error;
mod output;
mod policy;
mod signals;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use cli::{Arguments, Command};
use error::{Error, Exit};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match run(&arguments.command) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            let exit = error.exit();
            error.complain();
            exit.into()
        }
    }
}

fn run(command: &Command) -> Result<(), Error> {
    match command {
        Command::Serve(command) => commands::serve::run(command),
        Command::Demo(command) => commands::demo::run(command),
        Command::Policy(command) => commands::policy::run(command),
        Command::Explain(command) => commands::explain::run(command),
        Command::Graph(command) => commands::graph::run(command),
        Command::Reference(command) => commands::reference::run(command),
        Command::Bundle(command) => commands::bundle::run(command),
        Command::Test(command) => commands::test::run(command),
        Command::Catalog(command) => commands::catalog::run(command),
        Command::Config(command) => commands::config::run(command),
        Command::Evidence(command) => commands::evidence::run(command),
        Command::Replay(command) => commands::replay::run(command),
        Command::Approvals(command) => commands::approvals::run(command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "provost", &mut script);
            output::line(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
    }
}

/// Help and version are no errors; anything else clap says is about the command line.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is nobody to tell.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done.into(),
        _ => Exit::Usage.into(),
    }
}
