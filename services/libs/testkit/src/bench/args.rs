//! What is asked for.

use std::io;
use std::path::PathBuf;

/// The parts that can be asked for one by one, in the order in which they run.
pub const PARTS: [&str; 9] =
    ["rest", "submits", "redis", "million", "drain", "latency", "true", "http", "appliance"];

const USAGE: &str = "usage: conductor-bench --bin-dir DIR [--dir DIR] [--quick] [PART..]";

/// What is asked for.
#[derive(Debug)]
pub struct Args {
    /// Where the programs are.
    pub bin_dir: PathBuf,
    /// Where the homes of the programs are made and removed.
    pub dir: PathBuf,
    /// Whether to measure shortly and with fewer tasks.
    pub quick: bool,
    parts: Vec<String>,
}

impl Args {
    /// Reads the command line.
    pub fn parse(words: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut args = Self { bin_dir: PathBuf::new(), dir: PathBuf::new(), quick: false, parts: Vec::new() };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().map(PathBuf::from).ok_or_else(|| io::Error::other(USAGE));
            match word.as_str() {
                "--bin-dir" => args.bin_dir = value()?,
                "--dir" => args.dir = value()?,
                "--quick" => args.quick = true,
                part if PARTS.contains(&part) => args.parts.push(word),
                other => {
                    let parts = PARTS.join(" ");
                    return Err(io::Error::other(format!("{other:?} is not known; {USAGE}; parts: {parts}")));
                }
            }
        }
        if args.bin_dir.as_os_str().is_empty() {
            return Err(io::Error::other(USAGE));
        }
        if args.dir.as_os_str().is_empty() {
            args.dir.clone_from(&args.bin_dir);
        }
        Ok(args)
    }

    /// Whether a part is asked for.
    pub fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}
