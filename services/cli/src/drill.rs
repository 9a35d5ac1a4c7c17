//! `drill`: tries on a user's own machine what Conductor promises.

mod crash;
mod security;

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};

/// `drill`: exits with 1 where something did not hold.
pub async fn run(context: &mut Context<'_>, args: &args::Drill) -> Result<Exit, Failure> {
    match args.security {
        true => security::run(context, args).await,
        false => crash::run(context, args).await,
    }
}
