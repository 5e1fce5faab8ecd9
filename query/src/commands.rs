//! What the commands do.

use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use pulselake_query::batch::command::End;
use pulselake_query::batch::{BatchSettings, command as batch_command};
use pulselake_query::server::{ServeSettings, Token, serve};
use pulselake_query::{QueryEngine, QueryError, shell};
use tokio::runtime::Runtime;

use crate::cli::{BatchCommand, Command, LakeArgs, ServeArgs, SqlArgs};
use crate::process_limits;

/// Of each thread: expressions are evaluated as deep as they are. Memory that is never touched costs nothing.
pub(crate) const STACK_BYTES: usize = 32 << 20;

/// Does what the command says.
///
/// # Errors
/// Whatever stops it; a wrong setting has a `ConfigError` in its chain.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Sql(args) => sql(&args),
        Command::Serve(args) => answer_queries(&args),
        Command::Batch(command) => batch(command),
        Command::Drift(args) => {
            let (lake, since, format) = (args.lake()?, args.since, args.format);
            threads()?.block_on(pulselake_query::batch::drift::command::show(&lake, since, format))
        }
        Command::Views(command) => threads()?.block_on(pulselake_query::views::command::run(command)),
    }
}

fn threads() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .context("can't start the threads")
}

fn sql(args: &SqlArgs) -> anyhow::Result<ExitCode> {
    let settings = args.engine()?;
    process_limits::set(settings.memory_bytes);
    let runtime = threads()?;
    let engine = runtime.block_on(QueryEngine::open(&settings))?;
    let is_interactive = args.query.is_none() && std::io::stdin().is_terminal();
    if is_interactive {
        shell::run(&runtime, &engine, args.limits(), args.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let statements = match args.query.as_deref() {
        None | Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("can't read the query from standard input")?;
            shell::split(&text)
        }
        Some(query) => shell::split(query),
    };
    anyhow::ensure!(
        !statements.is_empty(),
        "there is no query; write one behind the flags, such as \"SHOW TABLES\""
    );
    for statement in &statements {
        let code = runtime.block_on(print(&engine, statement, args));
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one statement. A reader that has seen enough (`| head`) is no error.
async fn print(engine: &QueryEngine, statement: &str, args: &SqlArgs) -> ExitCode {
    let mut writer = args.format.writer(std::io::BufWriter::new(std::io::stdout()));
    let end = tokio::select! {
        end = engine.run(statement, args.limits(), &mut *writer) => end,
        _ = tokio::signal::ctrl_c() => Err(QueryError::Execution("stopped by Ctrl-C".to_owned())),
    };
    match end {
        Ok(_) => ExitCode::SUCCESS,
        Err(QueryError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is all there is left to write to.
            let _ = std::io::stderr().write_all(shell::error_text(statement, &error).as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn answer_queries(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let engine = args.engine()?;
    process_limits::set(engine.memory_bytes);
    serve(&ServeSettings {
        engine,
        limits: args.limits(),
        max_result_bytes: args.max_result_bytes(),
        max_concurrent: usize::from(args.max_concurrent),
        max_waiting: usize::from(args.max_waiting),
        bind: args.bind,
        flight_bind: args.flight_bind,
        // Out of the environment: a command line can be read by every user of the machine.
        token: Token::new(std::env::var("PULSELAKE_QUERY_TOKEN").unwrap_or_default()),
        keep_running: args.keep_running,
    })?;
    Ok(ExitCode::SUCCESS)
}

fn batch(command: BatchCommand) -> anyhow::Result<ExitCode> {
    let end = match command {
        BatchCommand::Run(args) => {
            let (request, metrics) = (args.request()?, args.metrics_file.as_deref());
            within(&args.lake, |settings| batch_command::run(settings, &request, metrics, args.lake.format))
        }
        BatchCommand::Plan(args) => {
            let request = args.request()?;
            within(&args.lake, |settings| batch_command::plan(settings, &request, args.lake.format))
        }
        BatchCommand::Render(args) => {
            let request = args.request()?;
            within(&args.lake, |settings| {
                batch_command::render(settings, &request, args.dialect, args.lake.format)
            })
        }
        BatchCommand::Runs(args) => {
            within(&args.lake, |settings| batch_command::runs(settings, args.last, args.lake.format))
        }
        BatchCommand::Reconcile(args) => {
            let metrics = args.metrics_file.as_deref();
            within(&args.lake, |settings| {
                batch_command::reconcile(settings, args.date, metrics, args.lake.format)
            })
        }
        BatchCommand::Restate(args) => within(&args.lake, |settings| {
            batch_command::restate(settings, args.date, args.dry_run, args.lake.format)
        }),
    }?;
    Ok(ExitCode::from(end.code()))
}

/// Does `work` with the settings of the command line, under the process's ceiling.
fn within<F: Future<Output = anyhow::Result<End>>>(
    args: &LakeArgs,
    work: impl FnOnce(BatchSettings) -> F,
) -> anyhow::Result<End> {
    let settings = args.settings()?;
    process_limits::set(settings.engine.memory_bytes + settings.day_memory_bytes);
    threads()?.block_on(work(settings))
}
