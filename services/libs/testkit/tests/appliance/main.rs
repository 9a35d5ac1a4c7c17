//! The appliance on a real Docker Engine, with the images that scripts/test builds for it. They are ignored otherwise:
//! `scripts/test appliance` runs them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod clis;
mod ends;
mod full;
mod image;
mod kills;
mod load;
mod places;
mod redis;
mod swarm;
mod upkeep;
mod whole;

use std::time::Duration;

/// How long a few tasks may take, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(60);
/// How long some hundred tasks may take.
const LATER: Duration = Duration::from_secs(240);
