//! Query parameters, read one by one; one that nobody asked for is a mistake, not a filter that silently does nothing.

use std::{fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use serde::{
    Deserialize,
    de::value::{Error, StrDeserializer},
};
use serde_json::{Value, json};

use crate::{
    http::problem::Problem,
    store::{Cursor, Order, Page, PageRequest},
};

/// Items of a list when `limit` is not given.
const DEFAULT_LIMIT: usize = 50;
/// Largest `limit`.
const MAX_LIMIT: usize = 500;

/// The query of one request. [`Params::done`] must be the last call.
pub(super) struct Params {
    given: Vec<(String, String)>,
    asked: Vec<&'static str>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(given) = query
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()).into_response())?;
        Ok(Self { given, asked: Vec::new() })
    }
}

impl Params {
    /// The values of a parameter that may be repeated.
    pub(super) fn repeated(&mut self, name: &'static str) -> Vec<String> {
        self.asked.push(name);
        let (mine, others) =
            std::mem::take(&mut self.given).into_iter().partition(|(given, _)| given == name);
        self.given = others;
        let mine: Vec<(String, String)> = mine;
        mine.into_iter().map(|(_, value)| value).collect()
    }

    /// The value of a parameter that may be given once.
    pub(super) fn optional<T>(&mut self, name: &'static str) -> Result<Option<T>, Problem>
    where
        T: FromStr<Err: Display>,
    {
        match self.repeated(name).as_slice() {
            [] => Ok(None),
            [value] => value.parse().map(Some).map_err(|error| Problem::parameter(name, error)),
            _ => Err(Problem::parameter(name, "given more than once")),
        }
    }

    /// The value of a parameter that is one of a type's words.
    pub(super) fn word<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Problem> {
        Ok(self.optional::<Word<T>>(name)?.map(|Word(word)| word))
    }

    /// `limit`, `cursor`, and `order` where the list has one.
    pub(super) fn page(&mut self) -> Result<PageRequest, Problem> {
        let page = self.page_in_fixed_order()?;
        let order = match self.optional::<String>("order")?.as_deref() {
            None | Some("newest") => Order::Newest,
            Some("oldest") => Order::Oldest,
            Some(_) => return Err(Problem::parameter("order", "neither oldest nor newest")),
        };
        Ok(PageRequest { order, ..page })
    }

    /// `limit` and `cursor`.
    pub(super) fn page_in_fixed_order(&mut self) -> Result<PageRequest, Problem> {
        let limit = self.optional("limit")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::parameter("limit", format_args!("not from 1 to {MAX_LIMIT}")));
        }
        let cursor = self.optional::<String>("cursor")?.map(Cursor);
        Ok(PageRequest { limit, cursor, order: Order::default() })
    }

    /// Fails when a parameter is left that nobody asked for.
    pub(super) fn done(self) -> Result<(), Problem> {
        let Some((unknown, _)) = self.given.first() else { return Ok(()) };
        let known = if self.asked.is_empty() { "none".to_owned() } else { self.asked.join(", ") };
        Err(Problem::parameter(unknown, format_args!("no parameter of this call; it takes {known}")))
    }
}

/// A value that serde knows by its name; its errors list the names.
struct Word<T>(T);

impl<T: for<'de> Deserialize<'de>> FromStr for Word<T> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        T::deserialize(StrDeserializer::new(text)).map(Self)
    }
}

/// A part of a list as the API shows it.
pub(super) fn list<T>(page: &Page<T>, item: impl Fn(&T) -> Value) -> Value {
    let items: Vec<Value> = page.items.iter().map(item).collect();
    json!({ "items": items, "next": page.next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::{Outcome, Reason},
        types::{ProjectKey, Time},
    };

    fn params(given: &[(&str, &str)]) -> Params {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Params { given, asked: Vec::new() }
    }

    /// Reads everything that `decisions` would, and names the parameter that is wrong.
    fn wrong(given: &[(&str, &str)]) -> Option<String> {
        let read = |mut params: Params| {
            params.page()?;
            params.optional::<ProjectKey>("project")?;
            params.optional::<Time>("since")?;
            params.word::<Outcome>("outcome")?;
            params.word::<Reason>("reason")?;
            params.done()
        };
        let problem = read(params(given)).err()?;
        assert_eq!(problem.status, 400);
        assert!(
            problem.detail.starts_with(problem.member("parameter").as_str().unwrap()),
            "{}",
            problem.detail
        );
        problem.member("parameter").as_str().map(str::to_owned)
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (given, name) in [
            (("limit", "0"), Some("limit")),
            (("limit", "501"), Some("limit")),
            (("limit", "-1"), Some("limit")),
            (("limit", "500"), None),
            (("order", "oldest"), None),
            (("order", "up"), Some("order")),
            (("project", "it"), Some("project")),
            (("project", "IT"), None),
            (("since", "yesterday"), Some("since")),
            (("since", "2026-11-22T08:00:00Z"), None),
            (("outcome", "hold"), None),
            (("outcome", "Hold"), Some("outcome")),
            (("reason", "known-customer"), None),
            (("reason", "unknown"), Some("reason")),
            (("sender", "a@b.example"), Some("sender")),
            (("outcome", ""), Some("outcome")),
        ] {
            assert_eq!(wrong(&[given]).as_deref(), name, "{given:?}");
        }
        assert_eq!(wrong(&[("limit", "1"), ("limit", "2")]).as_deref(), Some("limit"));
    }

    #[test]
    fn words_are_listed_when_one_is_wrong() {
        let problem = params(&[("outcome", "lost")]).word::<Outcome>("outcome").unwrap_err();
        assert!(problem.detail.contains("create") && problem.detail.contains("drop"), "{}", problem.detail);
        let problem = params(&[("x", "1")]).done().unwrap_err();
        assert_eq!(problem.detail, "x: no parameter of this call; it takes none");
    }
}
