//! A check of the whole audit, call by call: what to ask next, and what was found so far.

use std::fmt;
use std::str::FromStr;

use conductor_protocol::control::{AuditFault, AuditVerified, VerifyAudit};

/// The hexadecimal digits of a digest.
const DIGEST_DIGITS: usize = 64;

/// A record of the audit and its digest, as a check tells them: `SEQ:DIGEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// The record's number.
    pub seq: u64,
    /// Its digest, in hexadecimal digits.
    digest: String,
}

impl FromStr for AuditHead {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "it is a number, a colon and 64 hexadecimal digits";
        let (seq, digest) = text.split_once(':').ok_or(wrong)?;
        let is_digest = digest.len() == DIGEST_DIGITS && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let seq = seq.parse().ok().filter(|_| is_digest).ok_or(wrong)?;
        Ok(Self { seq, digest: digest.to_ascii_lowercase() })
    }
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.digest)
    }
}

/// A check of the audit.
#[derive(Debug, Clone, Default)]
pub struct AuditCheck {
    /// How many records are as they were written.
    pub records: u64,
    /// How many an earlier build wrote, without a digest.
    pub undigested: u64,
    /// The first record that is not as it was written.
    pub fault: Option<AuditFault>,
    /// What the audit must still have, until that was come to.
    kept: Option<AuditHead>,
    next: VerifyAudit,
    is_over: bool,
}

impl AuditCheck {
    /// Begins a check behind a record that an earlier one came to, else with the first. The audit must still have what was
    /// `kept` of it.
    #[must_use]
    pub fn new(after: Option<AuditHead>, kept: Option<AuditHead>) -> Self {
        let until = kept.as_ref().map(|kept| kept.seq);
        let next = match after {
            Some(AuditHead { seq, digest }) => VerifyAudit { after: seq, digest: Some(digest), until },
            None => VerifyAudit { until, ..VerifyAudit::default() },
        };
        Self { kept, next, ..Self::default() }
    }

    /// What is to be asked next; nothing once all is known.
    #[must_use]
    pub fn next(&self) -> Option<VerifyAudit> {
        (!self.is_over).then(|| self.next.clone())
    }

    /// Takes the answer.
    pub fn take(&mut self, found: AuditVerified) {
        self.records += found.records;
        self.undigested += found.undigested;
        self.fault = found.fault;
        self.next = VerifyAudit { after: found.through, digest: found.digest, until: self.next.until };
        self.is_over = self.fault.is_some() || !found.more && self.kept.is_none();
        if found.more || self.is_over {
            return;
        }
        if let Some(kept) = self.kept.take().filter(|kept| Some(kept) != self.head().as_ref()) {
            let what = "it is not the record that this digest was kept of".to_owned();
            (self.fault, self.is_over) = (Some(AuditFault { seq: kept.seq, what }), true);
        }
        self.next.until = None;
    }

    /// The last record that was looked at, to be kept where nobody who can change the audit can write.
    #[must_use]
    pub fn head(&self) -> Option<AuditHead> {
        let digest = self.next.digest.clone()?;
        Some(AuditHead { seq: self.next.after, digest })
    }

    /// What the check has not come to yet of what was kept.
    #[must_use]
    pub fn kept(&self) -> Option<&AuditHead> {
        self.kept.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(letter: &str) -> String {
        letter.repeat(DIGEST_DIGITS)
    }

    fn head(seq: u64, letter: &str) -> AuditHead {
        format!("{seq}:{}", digest(letter)).parse().unwrap()
    }

    fn found(through: u64, letter: &str, more: bool) -> AuditVerified {
        AuditVerified { records: 1, undigested: 0, through, digest: Some(digest(letter)), more, fault: None }
    }

    #[test]
    fn it_goes_on_to_the_end_and_tells_what_to_keep() {
        let mut check = AuditCheck::new(None, None);
        assert_eq!(check.next().map(|call| (call.after, call.digest)), Some((0, None)));
        check.take(found(7, "A", true));
        assert_eq!(check.next().map(|call| (call.after, call.digest)), Some((7, Some(digest("A")))));
        check.take(found(9, "b", false));
        assert!(check.next().is_none() && check.fault.is_none());
        assert_eq!((check.records, check.head()), (2, Some(head(9, "b"))));
        assert_eq!(AuditCheck::new(Some(head(9, "B")), None).next().unwrap().digest, Some(digest("b")));
    }

    #[test]
    fn what_was_kept_must_still_be_there_and_the_rest_is_looked_at_too() {
        let mut check = AuditCheck::new(None, Some(head(7, "a")));
        assert_eq!(check.next().unwrap().until, Some(7));
        check.take(found(5, "c", true));
        assert_eq!((check.next().unwrap().until, check.kept()), (Some(7), Some(&head(7, "a"))));
        check.take(found(7, "a", false));
        assert_eq!((check.next().unwrap().until, check.kept()), (None, None));
        check.take(found(9, "b", false));
        assert!(check.next().is_none() && check.fault.is_none());

        for other in [found(7, "b", false), found(6, "a", false)] {
            let mut check = AuditCheck::new(None, Some(head(7, "a")));
            check.take(other);
            assert!(check.next().is_none());
            assert_eq!(check.fault.map(|fault| fault.seq), Some(7));
        }
    }

    #[test]
    fn a_fault_ends_it() {
        let mut check = AuditCheck::new(None, Some(head(7, "a")));
        let fault = Some(AuditFault { seq: 3, what: "x".to_owned() });
        check.take(AuditVerified { fault, ..found(2, "a", true) });
        assert!(check.next().is_none());
        assert_eq!(check.fault.map(|fault| fault.seq), Some(3));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in ["", "7", "7:", "x:aa", &format!("7:{}g", digest("a")), &format!(":{}", digest("a"))] {
            assert!(text.parse::<AuditHead>().is_err(), "{text}");
        }
    }
}
