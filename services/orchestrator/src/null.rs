//! Stands in for the history until its file format is there. It remembers nothing.
use conductor_core::{Seq, TaskId, Wall};
use conductor_store::history::*;
use conductor_store::log::{LogId, Payloads, Stretch};
#[derive(Debug, Default)]
pub struct Null(std::sync::atomic::AtomicU64);
impl History for Null {
    fn log(&self) -> Option<LogId> {
        None
    }
    fn applied(&self) -> Seq {
        Seq(self.0.load(std::sync::atomic::Ordering::Relaxed))
    }
    fn durable(&self) -> Seq {
        self.applied()
    }
    fn apply(&self, _: LogId, s: &Stretch, _: &dyn Payloads) -> Result<Seq, Error> {
        self.0.store(s.last().0, std::sync::atomic::Ordering::Relaxed);
        Ok(s.last())
    }
    fn sync(&self) -> Result<Seq, Error> {
        Ok(self.applied())
    }
    fn tasks(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, Error> {
        Ok(ids.iter().map(|_| None).collect())
    }
    fn list(&self, _: &Query) -> Result<Page, Error> {
        Ok(Page { tasks: vec![], next: None, as_of: self.applied() })
    }
    fn stats(&self, _: &StatsQuery) -> Result<Stats, Error> {
        Ok(Stats::default())
    }
    fn ended_before(&self, _: Wall, _: usize) -> Result<Vec<TaskId>, Error> {
        Ok(vec![])
    }
    fn audit(&self, _: &AuditQuery) -> Result<AuditPage, Error> {
        Ok(AuditPage { records: vec![], next: None, as_of: self.applied() })
    }
    fn close(&self) {}
}
