//! What was measured, and the table of it.

use super::cpu::Usage;

/// Which part of a core counts as all of it.
const SATURATED: f64 = 0.95;
/// The program that puts the load on the others.
const GENERATOR: &str = "generator";
/// When others used more of the machine than this, a figure is marked.
const DISTURBED: f64 = 0.15;

/// What a figure is held against.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// It is there to be known.
    None,
    /// At least so many times the disk's rate, or what one saturated core does, if that is less.
    Disk(f64),
    /// At most so many writes to the disk, and half a millisecond.
    DiskWrites {
        /// How many.
        writes: f64,
        /// What one takes while the disk has nothing else to do.
        each_ms: f64,
    },
    /// At least so many times the bare loop's rate, or what one saturated core does, if that is less.
    Spawns(f64),
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// What the machine does in the same run.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Durable writes a second.
    pub disk: f64,
    /// Processes a second.
    pub spawns: f64,
}

#[derive(Debug)]
struct Row {
    measure: String,
    figure: f64,
    unit: &'static str,
    bar: Bar,
    usage: Option<Usage>,
}

/// All that was measured.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Takes in a figure and says it.
    pub fn add(&mut self, measure: impl Into<String>, figure: f64, unit: &'static str, bar: Bar) {
        self.push(Row { measure: measure.into(), figure, unit, bar, usage: None });
    }

    /// Takes in a figure, with who used the processors meanwhile.
    pub fn add_used(
        &mut self,
        measure: impl Into<String>,
        figure: f64,
        unit: &'static str,
        bar: Bar,
        usage: Usage,
    ) {
        self.push(Row { measure: measure.into(), figure, unit, bar, usage: Some(usage) });
    }

    fn push(&mut self, row: Row) {
        println!("  {}: {} {}", row.measure, number(row.figure), row.unit);
        if let Some(usage) = &row.usage {
            println!("    cores: {usage}");
            if row.unit.ends_with("/s") {
                let each = usage.of("orchestrator") / row.figure * 1e6;
                println!("    the orchestrator's work for each: {} us", number(each));
                let all = usage.all_but(GENERATOR);
                println!("    what one saturated core does: {} {}", number(row.figure / all), row.unit);
            }
        }
        self.rows.push(row);
    }

    /// Prints the table.
    pub fn print(&self, machine: Machine) {
        let head = ["measure", "figure", "unit", "reference", "ratio", "bar", ""].map(str::to_owned);
        let mut lines = vec![head];
        lines.extend(self.rows.iter().map(|row| row.line(machine)));
        let width =
            |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..7).map(width).collect();
        println!();
        for line in &lines {
            let mut text = String::new();
            for (column, cell) in line.iter().enumerate() {
                let pad = " ".repeat(widths[column] - cell.chars().count());
                let right = matches!(column, 1 | 4);
                text += &if right { format!("{pad}{cell}  ") } else { format!("{cell}{pad}  ") };
            }
            println!("{}", text.trim_end());
        }
        println!();
        println!(
            "core: beyond what one saturated core does ({SATURATED} or more were used), which is the lower bar."
        );
        println!("*: something else used {DISTURBED} cores or more meanwhile.");
    }
}

impl Row {
    fn line(&self, machine: Machine) -> [String; 7] {
        let (reference, ratio) = match self.bar {
            Bar::Disk(_) => (format!("disk {}/s", number(machine.disk)), Some(self.figure / machine.disk)),
            Bar::DiskWrites { each_ms, .. } => {
                (format!("disk write {} ms", number(each_ms)), Some(self.figure / each_ms))
            }
            Bar::Spawns(_) => {
                (format!("bare {}/s", number(machine.spawns)), Some(self.figure / machine.spawns))
            }
            Bar::None | Bar::AtLeast(_) | Bar::AtMost(_) => (String::new(), None),
        };
        let (bar, reached) = match self.bar {
            Bar::None => (String::new(), None),
            Bar::Disk(times) => (format!(">= {times} x disk"), Some(self.figure >= times * machine.disk)),
            Bar::Spawns(times) => (format!(">= {times} x bare"), Some(self.figure >= times * machine.spawns)),
            Bar::DiskWrites { writes, each_ms } => {
                let most = writes * each_ms + 0.5;
                (format!("<= {} ({writes} writes + 0.5 ms)", number(most)), Some(self.figure <= most))
            }
            Bar::AtLeast(least) => (format!(">= {}", number(least)), Some(self.figure >= least)),
            Bar::AtMost(most) => (format!("<= {}", number(most)), Some(self.figure <= most)),
        };
        let has_lower = matches!(self.bar, Bar::Disk(_) | Bar::Spawns(_));
        let used = self.usage.as_ref().map_or(0.0, |usage| usage.all_but(GENERATOR));
        let disturbed = self.usage.as_ref().is_some_and(|usage| usage.others >= DISTURBED);
        let verdict = match reached {
            None => "",
            Some(true) => "ok",
            Some(false) if has_lower && used >= SATURATED => "core",
            Some(false) => "short",
        };
        let mark = if disturbed { "*" } else { "" };
        let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let unit = self.unit.to_owned();
        [self.measure.clone(), number(self.figure), unit, reference, ratio, bar, format!("{verdict}{mark}")]
    }
}

/// A number with about three digits that matter.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let Some(digits) = (decimals == 0 && value >= 1_000.0).then_some(text.as_bytes()) else { return text };
    let groups = digits.rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}
