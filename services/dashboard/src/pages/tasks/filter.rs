//! The filter of a list of tasks, as the address of the page has it.

use conductor_protocol::Code;
use conductor_protocol::control::Filter;
use conductor_protocol::task::State;
use conductor_protocol::text::parse_rfc3339;
use conductor_web::Refusal;

use crate::params::Params;
use crate::words::Words;

/// A text field of the filter.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub value: String,
}

/// A filter as it was asked for.
#[derive(Debug, Clone)]
pub struct FilterForm {
    params: Params,
    fields: Vec<Field>,
    /// The text that is searched for.
    pub q: String,
}

impl FilterForm {
    /// Reads the filter from a query.
    #[must_use]
    pub fn new(w: &'static Words, params: &Params) -> Self {
        let field = |name, label, hint| Field { name, label, hint, value: params.text(name).to_owned() };
        let fields = vec![
            field("runner", w.runner, "mock"),
            field("group", w.group, ""),
            field("label", w.label, "team:web"),
            field("name", w.name, ""),
            field("type", w.type_word, "code_review"),
            field("parent", w.parent, ""),
            field("created_by", w.created_by, ""),
            field("failure", w.failure_reason, "timeout"),
            field("after", w.created_after, "2026-01-31"),
            field("before", w.created_before, "2026-01-31T08:00:00Z"),
            field("min_cost", w.least_cost, "0.50"),
        ];
        Self { params: params.clone(), fields, q: params.text("q").to_owned() }
    }

    /// The text fields.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether a text field is used.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.fields.iter().any(|field| !field.value.is_empty())
    }

    /// Whether anything is filtered.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.has_more() || !self.q.is_empty() || self.params.get("state").is_some()
    }

    /// Whether a state is among those asked for.
    #[must_use]
    pub fn has_state(&self, state: State) -> bool {
        self.states().any(|text| text == state.as_str())
    }

    fn states(&self) -> impl Iterator<Item = &str> {
        self.params.all("state").flat_map(|text| text.split(',')).map(str::trim)
    }

    /// The filter as a query.
    #[must_use]
    pub fn query(&self) -> String {
        self.params.query(&["cursor", "sort", "rows", "did"])
    }

    /// The filter for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let query = Params::parse(self.query().as_bytes());
        let names = ["state", "q"].into_iter().chain(self.fields.iter().map(|field| field.name));
        let told = names.flat_map(|name| {
            query.all(name).map(move |value| format!("{name}: {value}")).collect::<Vec<_>>()
        });
        told.collect::<Vec<_>>().join(" · ")
    }

    /// The filter for the orchestrator.
    ///
    /// # Errors
    /// When a value is none of its field's.
    pub fn parse(&self) -> Result<Filter, Refusal> {
        let bad = |what: &str| Refusal::new(Code::InvalidRequest, format!("{what} is not valid"));
        let state = self
            .states()
            .map(|text| State::parse(text).ok_or_else(|| bad("state")))
            .collect::<Result<_, _>>()?;
        let text = |name: &str| self.params.get(name).map(str::to_owned);
        Ok(Filter {
            state,
            runner: text("runner"),
            group: text("group"),
            label: self.params.list("label"),
            name: text("name"),
            task_type: text("type"),
            created_by: text("created_by"),
            failure: text("failure"),
            q: text("q"),
            after: self.instant("after")?,
            before: self.instant("before")?,
            min_cost: self.params.parsed("min_cost")?,
            parent: text("parent"),
        })
    }

    /// An instant; a day alone is its beginning in UTC.
    fn instant(&self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(text) = self.params.get(name) else { return Ok(None) };
        let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        match parse_rfc3339(&full) {
            Ok(_) => Ok(Some(full)),
            Err(detail) => Err(Refusal::new(Code::InvalidRequest, format!("{name}: {detail}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Lang;

    fn form(query: &str) -> FilterForm {
        FilterForm::new(Lang::En.words(), &Params::parse(query.as_bytes()))
    }

    #[test]
    fn an_address_is_a_filter() {
        let filter =
            form("state=queued&state=running,failed&label=a:b,c:d&after=2026-01-31&q=fix+it&sort=cost")
                .parse()
                .unwrap();
        assert_eq!(filter.state, [State::Queued, State::Running, State::Failed]);
        assert_eq!(filter.label, ["a:b", "c:d"]);
        assert_eq!(filter.after.as_deref(), Some("2026-01-31T00:00:00Z"));
        assert_eq!(filter.q.as_deref(), Some("fix it"));
    }

    #[test]
    fn what_is_no_filter_is_refused_and_never_ignored() {
        for query in ["state=odd", "after=yesterday", "min_cost=much"] {
            assert!(form(query).parse().is_err(), "{query}");
        }
        assert!(!form("sort=cost&cursor=x&did=retry:1").is_set());
        assert_eq!(form("q=a&cursor=x&sort=cost").query(), "q=a");
        assert_eq!(form("q=a&state=failed").describe(), "state: failed · q: a");
    }
}
