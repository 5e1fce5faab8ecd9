//! What the commands do.

mod audit;
mod config;
mod decide;
mod erase;
mod generate;
mod health;
mod ledger;
mod maintain;
mod maintain_text;
mod output;
mod quarantine;
mod query;
mod service;
mod shell;
mod tables;
mod tables_inspect;

use std::process::ExitCode;

use crate::cli::Command;

/// Does what the command says.
///
/// # Errors
/// Whatever stops it; a wrong setting has a `ConfigError` in its chain.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Config(command) => config::run(&command),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Demo(args) => service::demo(&args),
        Command::Run(args) => service::run(&args),
        Command::Init(args) => service::init(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Tables(args) => tables::run(&args),
        Command::Maintain(args) => maintain::run(&args),
        Command::Erase(args) => erase::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Decide(args) => decide::run(&args),
        Command::Quarantine(command) => quarantine::run(&command),
        Command::Ledger(command) => ledger::run(&command),
        Command::Sql(passed_on) => query::become_query("sql", &passed_on),
        Command::Views(passed_on) => query::become_query("views", &passed_on),
        Command::Batch(passed_on) => query::become_query("batch", &passed_on),
        Command::Drift(passed_on) => query::become_query("drift", &passed_on),
        Command::QueryServe(passed_on) => query::become_query("serve", &passed_on),
    }
}
