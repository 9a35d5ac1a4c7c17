//! Lists: which tasks first, then their records.
//!
//! The index over group and state gives each place's tasks in the order of their numbers, so a list that names groups or
//! states merges the places that it names; any other walks the table from its end.

use conductor_core::Seq;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::row::{self, Reading, Trouble};
use crate::history::{Cursor, Error, MAX_PAGE, Page, Query, Sort, State, fold};

/// The most places whose tasks are merged; a list over more walks the table.
const MAX_PLACES: usize = 64;

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
enum From {
    Start,
    /// After this task.
    After {
        cost: i64,
        seq: i64,
    },
}

/// Lists tasks. Runs inside a transaction, so that all it reads is of one moment.
pub(super) fn list(connection: &Connection, query: &Query, as_of: Seq) -> Result<Page, Trouble> {
    let limit = match query.limit {
        0 => MAX_PAGE,
        limit => limit.min(MAX_PAGE),
    };
    let from = parse(query.cursor.as_ref(), query.sort)?;
    let filter = Filter::of(connection, query)?;
    // One more than asked for shows whether there is another page.
    let mut found = match query.sort {
        Sort::Newest | Sort::Oldest => by_number(connection, query, &filter, from, limit + 1)?,
        Sort::Cost => by_cost(connection, &filter, from, limit + 1)?,
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| cursor(query.sort, *last));
    let mut reading = Reading::new(connection);
    let mut tasks = Vec::with_capacity(found.len());
    for (_, seq) in found {
        tasks.extend(reading.by_seq(seq)?);
    }
    Ok(Page { tasks, next, as_of })
}

fn cursor(sort: Sort, (cost, seq): (i64, i64)) -> Cursor {
    Cursor(match sort {
        Sort::Newest => format!("n{seq}"),
        Sort::Oldest => format!("o{seq}"),
        Sort::Cost => format!("c{cost}.{seq}"),
    })
}

fn parse(cursor: Option<&Cursor>, sort: Sort) -> Result<From, Trouble> {
    let Some(Cursor(text)) = cursor else { return Ok(From::Start) };
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
    let parsed = match sort {
        Sort::Newest => text.strip_prefix('n').and_then(number).map(|seq| (0, seq)),
        Sort::Oldest => text.strip_prefix('o').and_then(number).map(|seq| (0, seq)),
        Sort::Cost => text
            .strip_prefix('c')
            .and_then(|text| text.split_once('.'))
            .and_then(|(cost, seq)| number(cost).zip(number(seq))),
    };
    let (cost, seq) = parsed.ok_or(Trouble::Is(Error::Cursor))?;
    Ok(From::After { cost, seq })
}

/// Conditions and what stands for the question marks in them.
#[derive(Debug, Clone, Default)]
struct Filter {
    conditions: Vec<String>,
    values: Vec<Value>,
    /// The places to look at, when the query names groups or states and there are few.
    places: Option<Vec<(String, i64)>>,
    /// The same as conditions, for when the places are not walked one by one.
    place_conditions: Vec<String>,
    place_values: Vec<Value>,
}

impl Filter {
    fn of(connection: &Connection, query: &Query) -> Result<Self, Trouble> {
        let mut filter = Self::default();
        filter.places(connection, query)?;
        filter.times(connection, query)?;
        let mut also = |condition: &str, value: Option<Value>| {
            if let Some(value) = value {
                filter.conditions.push(condition.to_owned());
                filter.values.push(value);
            }
        };
        let text = |text: &str| Value::Text(text.to_owned());
        if let Some(runner) = &query.runner {
            also("?1 IN (runner, ran_on)", Some(text(runner.as_str())));
        }
        also("task_type = ?1", query.task_type.as_ref().map(|name| text(name.as_str())));
        also("name = ?1", query.name.as_deref().map(text));
        also("created_by = ?1", query.created_by.as_ref().map(|name| text(name.as_str())));
        also("failure = ?1", query.failure.map(|reason| Value::Integer(row::failure_number(reason))));
        for (name, value) in &query.labels {
            also("instr(labels, ?1) > 0", Some(Value::Text(row::label_text(name, value))));
        }
        let parent = query.parent.map(|parent| Value::Blob(parent.0.to_be_bytes().to_vec()));
        also("seq IN (SELECT seq FROM children WHERE parent = ?1)", parent);
        let needle = query.text.as_ref().filter(|text| !text.is_empty());
        also("instr(search, ?1) > 0", needle.map(|needle| Value::Text(needle.to_lowercase())));
        let cost = query.min_cost_usd_micros.filter(|cost| *cost > 0);
        also("cost >= ?1", cost.map(|cost| Value::Integer(i64::try_from(cost).unwrap_or(i64::MAX))));
        Ok(filter)
    }

    fn also(&mut self, condition: &str, value: i64) {
        self.conditions.push(condition.to_owned());
        self.values.push(Value::Integer(value));
    }

    /// Finds the places that the query names: groups that it asks for and may see, and states.
    fn places(&mut self, connection: &Connection, query: &Query) -> rusqlite::Result<()> {
        let wants_state = |state: i64| {
            query.states.is_empty() || query.states.iter().any(|wanted| row::state_number(*wanted) == state)
        };
        let wants_group = |group: &str| {
            let named = |names: &[conductor_core::Name]| names.iter().any(|name| name.as_str() == group);
            (query.groups.is_empty() || named(&query.groups)) && query.visible.as_deref().is_none_or(named)
        };
        if query.states.is_empty() && query.groups.is_empty() && query.visible.is_none() {
            return Ok(());
        }
        let mut select = connection.prepare_cached("SELECT grp, state FROM places WHERE tasks > 0")?;
        let found = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        let mut places = Vec::new();
        for place in found {
            let (group, state) = place?;
            if wants_group(&group) && wants_state(state) {
                places.push((group, state));
            }
        }
        let list = |values: Vec<String>| values.join(", ");
        if !query.states.is_empty() {
            let states = query.states.iter().map(|state| row::state_number(*state).to_string()).collect();
            self.place_conditions.push(format!("state IN ({})", list(states)));
        }
        if !query.groups.is_empty() || query.visible.is_some() {
            let mut groups: Vec<&String> = places.iter().map(|(group, _)| group).collect();
            groups.dedup();
            self.place_conditions
                .push(format!("grp IN ({})", list(groups.iter().map(|_| "?1".to_owned()).collect())));
            self.place_values.extend(groups.into_iter().map(|group| Value::Text(group.clone())));
        }
        self.places = (places.len() <= MAX_PLACES).then_some(places);
        Ok(())
    }

    /// Narrows instants to numbers by the hours, and then keeps to them exactly.
    fn times(&mut self, connection: &Connection, query: &Query) -> rusqlite::Result<()> {
        let bound = |sql: &str, hour: i64| -> rusqlite::Result<Option<i64>> {
            connection.prepare_cached(sql)?.query_row([hour], |row| row.get(0))
        };
        if let Some(after) = query.after {
            let first = bound("SELECT min(first_seq) FROM hours WHERE hour >= ?1", fold::hour_of(after))?;
            self.also("seq >= ?1", first.unwrap_or(i64::MAX));
            self.also("created_at >= ?1", after.0);
        }
        if let Some(before) = query.before {
            let last = bound("SELECT max(last_seq) FROM hours WHERE hour <= ?1", fold::hour_of(before))?;
            self.also("seq <= ?1", last.unwrap_or(0));
            self.also("created_at < ?1", before.0);
        }
        Ok(())
    }
}

/// A statement that is put together from conditions, each with its own `?1`.
struct Select {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Select {
    fn new(filter: &Filter) -> Self {
        Self { conditions: filter.conditions.clone(), values: filter.values.clone() }
    }

    fn places(mut self, filter: &Filter) -> Self {
        self.conditions.extend(filter.place_conditions.iter().cloned());
        self.values.extend(filter.place_values.iter().cloned());
        self
    }

    fn also(mut self, condition: &str, values: impl IntoIterator<Item = Value>) -> Self {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
        self
    }

    /// Runs it and answers cost and number of each task.
    fn run(self, connection: &Connection, order: &str, limit: usize) -> rusqlite::Result<Vec<(i64, i64)>> {
        let mut sql = "SELECT cost, seq FROM tasks".to_owned();
        for (place, condition) in self.conditions.iter().enumerate() {
            sql.push_str(if place == 0 { " WHERE (" } else { " AND (" });
            // Every question mark is the next value.
            sql.push_str(&condition.replace("?1", "?"));
            sql.push(')');
        }
        sql.push_str(&format!(" ORDER BY {order} LIMIT {limit}"));
        let mut select = connection.prepare_cached(&sql)?;
        let rows = select.query_map(rusqlite::params_from_iter(self.values), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
        rows.collect()
    }
}

fn by_number(
    connection: &Connection,
    query: &Query,
    filter: &Filter,
    from: From,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, i64)>> {
    let newest_first = query.sort != Sort::Oldest;
    let (order, beyond) = if newest_first { ("seq DESC", "seq < ?1") } else { ("seq", "seq > ?1") };
    let begin = |select: Select| match from {
        From::Start => select,
        From::After { seq, .. } => select.also(beyond, [Value::Integer(seq)]),
    };
    let Some(places) = &filter.places else {
        return begin(Select::new(filter).places(filter)).run(connection, order, limit);
    };
    let mut found = Vec::new();
    for (group, state) in places {
        let place = [Value::Text(group.clone()), Value::Integer(*state)];
        let select = begin(Select::new(filter)).also("grp = ?1 AND state = ?1", place);
        found.extend(select.run(connection, order, limit)?);
    }
    found.sort_unstable_by_key(|(_, seq)| if newest_first { -seq } else { *seq });
    found.truncate(limit);
    Ok(found)
}

/// The dear ones lie in an index of their own; the free ones follow, newest first.
fn by_cost(
    connection: &Connection,
    filter: &Filter,
    from: From,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, i64)>> {
    let select = || Select::new(filter).places(filter);
    let (dear, free) = match from {
        From::Start => (Some(select()), select()),
        From::After { cost: 0, seq } => (None, select().also("seq < ?1", [Value::Integer(seq)])),
        From::After { cost, seq } => {
            let after = [cost, cost, seq].map(Value::Integer);
            (Some(select().also("cost < ?1 OR (cost = ?1 AND seq < ?1)", after)), select())
        }
    };
    let mut found = Vec::new();
    if let Some(dear) = dear {
        found = dear.also("cost > 0", []).run(connection, "cost DESC, seq DESC", limit)?;
    }
    if found.len() < limit {
        found.extend(free.also("cost = 0", []).run(connection, "seq DESC", limit - found.len())?);
    }
    Ok(found)
}

/// How many tasks stand where, in the groups that may be seen.
pub(super) fn states(
    connection: &Connection,
    sees: impl Fn(&str) -> bool,
) -> rusqlite::Result<Vec<(State, u64)>> {
    let mut counts = State::ALL.map(|state| (state, 0));
    let mut select = connection.prepare_cached("SELECT grp, state, tasks FROM places")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let Some(state) = row::state_of(row.get(1)?) else { continue };
        if sees(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?) {
            let count = counts.iter_mut().find(|(found, _)| *found == state).expect("every state is counted");
            count.1 += u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
        }
    }
    Ok(counts.to_vec())
}
