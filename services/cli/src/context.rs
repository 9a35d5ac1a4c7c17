//! The life of one command: what it is given, what it ends with.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use conductor_runtime::config::{self, Loaded, Sources};
use conductor_runtime::lifecycle::{Lifecycle, Shutdown};
use conductor_runtime::telemetry;

use crate::args::{self, Args, Command};
use crate::exit::{Exit, Failure, chain};
use crate::screen::Screen;
use crate::{
    apply, backup, compare, doctor, drill, follow, mcp, migrate, multicall, run, schedule, secret, server,
    show, submit, supervised, support, tasks, token, upgrade, watch,
};

/// What every command is given.
#[derive(Debug)]
pub struct Context<'a> {
    /// Where things are shown.
    pub screen: &'a mut Screen,
    /// The configuration, and where things are.
    pub loaded: Loaded,
    lifecycle: Option<Lifecycle>,
    logs: Option<telemetry::Guard>,
}

impl Context<'_> {
    /// Begins to log, once: to files as configured, and to the console what `console_level` lets through.
    ///
    /// # Errors
    /// When the log files cannot be written.
    pub fn start_logs(&mut self, console_level: &str) -> Result<(), telemetry::Error> {
        if self.logs.is_none() {
            let (config, home) = (&self.loaded.config, &self.loaded.home);
            let mut options = telemetry::Options::new("conductor", &config.telemetry, &home.logs);
            options.console_level = Some(console_level);
            self.logs = Some(telemetry::start(&options)?);
        }
        Ok(())
    }

    /// Takes over signals, once: the first drains what is given back, the second kills it.
    ///
    /// # Errors
    /// The system's, when signals cannot be caught.
    pub fn signals(&mut self) -> Result<Shutdown, Failure> {
        let lifecycle = match self.lifecycle.take() {
            Some(lifecycle) => lifecycle,
            // A second signal ends a command at once, so there is no deadline.
            None => Lifecycle::start(Duration::MAX)?,
        };
        Ok(self.lifecycle.insert(lifecycle).shutdown())
    }
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    // The other programs are this one under another name.
    if let Some(code) = multicall::program(&words) {
        return code;
    }
    // The agent's processes are this program under another first word; they get no further.
    if let Some(code) = server::agent_process(&words) {
        return code;
    }
    let args = match Args::try_parse_from(&words) {
        Ok(args) => args,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code());
            // Who reads no help misses it.
            let _unread = error.print();
            return ExitCode::from(code);
        }
    };
    let mut screen = Screen::new(args.output, args.quiet);
    if let Command::Agent(args) = &args.command {
        // It becomes a monitor, which must not have made a thread before.
        return server::agent(args);
    }
    let exit = dispatch(args.command, &mut screen).unwrap_or_else(|failure| {
        tell(&mut screen, &failure);
        failure.exit()
    });
    exit.into()
}

fn tell(screen: &mut Screen, failure: &Failure) {
    let text = match (failure, screen.is_json()) {
        (Failure::NobodyReads, _) => return,
        (_, true) => serde_json::to_string(&failure.problem()).unwrap_or_else(|_| failure.to_string()),
        (_, false) => format!("conductor: {failure}"),
    };
    screen.note(text);
}

fn dispatch(command: Command, screen: &mut Screen) -> Result<Exit, Failure> {
    // These need neither a configuration that holds nor a server.
    match &command {
        Command::SuperviseEvents => return supervised::listen(),
        Command::Completions(completions) => return show::completions(screen, completions.shell),
        Command::Config(command) => return show::config(screen, *command),
        Command::Doctor => return block_on(doctor::run(screen)),
        _ => {}
    }
    let loaded = config::load(&Sources::from_env()).map_err(|error| Failure::Usage(chain(&error)))?;
    let mut context = Context { screen, loaded, lifecycle: None, logs: None };
    block_on(serve(command, &mut context))
}

/// The commands that ask a server.
async fn serve(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Up(args) if args.install => server::install(context, &args),
        Command::Up(args) if args.uninstall => server::uninstall(context),
        Command::Up(args) => server::up(context, &args).await,
        Command::Run(args) => run::run(context, &args).await,
        Command::Submit(args) => submit::run(context, &args).await,
        Command::List(args) => tasks::list(context, args).await,
        Command::Get(args) => tasks::get(context, args.id).await,
        Command::Wait(args) => tasks::wait(context, &args).await,
        Command::Logs(args) => follow::logs(context, &args).await,
        Command::Files(args) => tasks::files(context, args).await,
        Command::Diff(args) => tasks::diff(context, &args).await,
        Command::Apply(args) => apply::run(context, &args).await,
        Command::Compare(args) => compare::run(context, &args).await,
        Command::Cancel(args) => tasks::cancel(context, &args).await,
        Command::Retry(args) => tasks::retry(context, args.id).await,
        Command::Rm(args) => tasks::rm(context, &args).await,
        Command::Pin(args) => tasks::pin(context, &args, true).await,
        Command::Unpin(args) => tasks::pin(context, &args, false).await,
        Command::Message(args) => tasks::message(context, &args).await,
        Command::Answer(args) => tasks::answer(context, &args).await,
        Command::Agents(args) => watch::agents(context, args.command).await,
        Command::Pause => watch::pause(context, true).await,
        Command::Resume => watch::pause(context, false).await,
        Command::Stats => watch::stats(context).await,
        Command::Status => watch::status(context).await,
        Command::Top => watch::top(context).await,
        Command::Schedule(command) => schedule::run(context, command).await,
        Command::Events(args) => watch::events(context, &args).await,
        Command::Audit(args) => watch::audit(context, &args).await,
        Command::Token(command) => token::run(context, command).await,
        Command::Secret(command) => secret::run(context, command),
        Command::Backup(args) => backup::run(context, &args),
        Command::Restore(args) => backup::restore::run(context, &args),
        Command::SupportBundle(args) => support::run(context, &args).await,
        Command::Migrate(args) => migrate::run(context, &args),
        Command::Upgrade(args::UpgradeCommand::Finalize) => upgrade::finalize(context),
        Command::Mcp => mcp::run(context).await,
        Command::Drill(args) => drill::run(context, &args).await,
        Command::Gc(args) => watch::gc(context, args.dry_run).await,
        Command::Healthcheck { wait } => watch::healthcheck(context, wait.unwrap_or_default()).await,
        // All of these were dealt with before a configuration was read.
        Command::Agent(_)
        | Command::Config(_)
        | Command::Doctor
        | Command::SuperviseEvents
        | Command::Completions(_) => Err(Failure::Failed("this command needs no server".to_owned())),
    }
}

/// Runs a command to its end. Its own work is on this thread; others carry connections and an embedded server.
fn block_on(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    // A read of stdin may never come back; nothing else is left.
    runtime.shutdown_background();
    result
}
