//! `pulselake views list`, `show` and `apply`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::apply::{Outcome, apply};
use super::catalogue::{find_view, serving_views};
use super::trino::{TrinoClient, TrinoTarget};

/// What can be done with the serving views.
#[derive(Debug, Subcommand)]
pub enum ViewsCommand {
    /// List the views and what a row of each is
    List,
    /// Print the SQL of a view
    Show {
        /// Its name
        name: String,
    },
    /// Create the views in Trino, or replace them
    Apply(ApplyArgs),
}

/// Where to make the views.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Trino's address
    #[arg(long, value_name = "https://HOST:PORT")]
    trino: String,
    /// Trino's name of the catalog with the tables
    #[arg(long, default_value = "lake")]
    catalog: String,
    /// Schema of the views; made if it is missing
    #[arg(long, default_value = "serving")]
    schema: String,
    /// User of Trino; he or she will own the views
    #[arg(long, default_value = "pulselake")]
    user: String,
    /// Variable of the environment that holds the user's password
    #[arg(long, value_name = "VARIABLE")]
    password_env: Option<String>,
    /// Longest time for each view
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout_s: u64,
}

/// Does it. The exit code is 0 when all of it was done.
///
/// # Errors
/// There is no such view; Trino can't be asked, or not so.
pub async fn run(command: ViewsCommand) -> anyhow::Result<ExitCode> {
    match command {
        ViewsCommand::List => list(),
        ViewsCommand::Show { name } => show(&name)?,
        ViewsCommand::Apply(arguments) => return make_in_trino(arguments).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn list() {
    let widest = serving_views().iter().map(|view| view.name.len()).max().unwrap_or_default();
    for view in serving_views() {
        println!("{:widest$}  {}", view.name, view.summary);
    }
}

fn show(name: &str) -> anyhow::Result<()> {
    let Some(view) = find_view(name) else {
        let names: Vec<&str> = serving_views().iter().map(|view| view.name).collect();
        bail!("there is no view {name:?}; there are {}", names.join(", "));
    };
    print!("{}", view.text);
    Ok(())
}

async fn make_in_trino(arguments: ApplyArgs) -> anyhow::Result<ExitCode> {
    let password = arguments.password_env.as_deref().map(password_of).transpose()?;
    let place = format!("{}.{}", arguments.catalog, arguments.schema);
    let client = TrinoClient::new(TrinoTarget {
        url: arguments.trino,
        catalog: arguments.catalog,
        schema: arguments.schema.clone(),
        user: arguments.user,
        password,
        timeout: Duration::from_secs(arguments.timeout_s),
    })?;
    let (mut made, mut not_made) = (0, 0);
    let outcome = apply(&client, &arguments.schema, |view, outcome| {
        let name = view.name;
        match outcome {
            Outcome::Made => println!("made     {name}"),
            Outcome::Failed(error) => println!("failed   {name}: {error}"),
            Outcome::Skipped(read) => println!("skipped  {name}: it reads {read}"),
        }
        *if matches!(outcome, Outcome::Made) { &mut made } else { &mut not_made } += 1;
    });
    outcome.await.with_context(|| {
        format!("the views in {place} were not all made; do it again when this is mended")
    })?;
    println!("{made} of {} views are in {place}", made + not_made);
    Ok(if not_made == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn password_of(variable: &str) -> anyhow::Result<String> {
    match std::env::var(variable) {
        Ok(password) if !password.is_empty() => Ok(password),
        _ => bail!("--password-env names the variable {variable:?}, which is empty or not set"),
    }
}
