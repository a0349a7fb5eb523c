//! Lists of requests, holds and accounts.

use std::ops::ControlFlow;

use super::{View, walk::Walk};
use crate::{
    store::{
        AccountFilter, Cursor, HeldFilter, HeldRow, Order, Page, PageRequest, RequestFilter, RequestRow,
        StoreError,
        rows::{DecisionIndex, HeldIndex, KeyRange, Rows, SenderRow, decode, key, read},
    },
    types::{Account, EmailAddress, ProjectKey, RequestId},
};

impl View<'_> {
    /// [`crate::store::Store::requests`]. By reporter or over all projects it walks the decisions that opened a request,
    /// within a project its numbers.
    pub(in crate::store) fn requests(
        &self,
        filter: &RequestFilter,
        page: &PageRequest,
    ) -> Result<Page<RequestRow>, StoreError> {
        let ids = match (&filter.customer, &filter.project) {
            (None, Some(project)) => self.project_requests(project, page)?,
            (Some(customer), project) => {
                self.opened(key::sender_decisions(customer), project.as_ref(), page)?
            }
            (None, None) => self.opened(key::all(b'x'), None, page)?,
        };
        let mut items = Vec::with_capacity(ids.items.len());
        for id in &ids.items {
            items.extend(self.request(id)?);
        }
        Ok(Page { items, next: ids.next })
    }

    fn project_requests(
        &self,
        project: &ProjectKey,
        page: &PageRequest,
    ) -> Result<Page<RequestId>, StoreError> {
        let walk = Walk { rows: self.rows, range: key::requests(project), page };
        let met = walk.run(&mut |_| Ok(true))?;
        let id = |number| RequestId { project: project.clone(), number };
        Ok(Page { items: met.items.into_iter().map(id).collect(), next: met.next })
    }

    fn opened(
        &self,
        range: KeyRange,
        project: Option<&ProjectKey>,
        page: &PageRequest,
    ) -> Result<Page<RequestId>, StoreError> {
        let mut ids = Vec::new();
        let walk = Walk { rows: self.rows, range, page };
        let met = walk.run(&mut |seq| {
            let row: Option<DecisionIndex> = read(self.rows, &key::decision(seq))?;
            let row = row.filter(|row| project.is_none_or(|project| row.project == *project));
            let Some((project, number)) = row.and_then(|row| Some((row.project, row.opened?))) else {
                return Ok(false);
            };
            ids.push(RequestId { project, number });
            Ok(true)
        })?;
        Ok(Page { items: ids, next: met.next })
    }

    /// [`crate::store::Store::held_mails`].
    pub(in crate::store) fn held_mails(
        &self,
        filter: &HeldFilter,
        page: &PageRequest,
    ) -> Result<Page<HeldRow>, StoreError> {
        let mut found: Vec<(u64, HeldIndex)> = Vec::new();
        let range = match &filter.sender {
            Some(sender) => key::sender_decisions(sender),
            None => key::all(b'h'),
        };
        let walk = Walk { rows: self.rows, range, page };
        let met = walk.run(&mut |seq| {
            let row: Option<HeldIndex> = read(self.rows, &key::held(seq))?;
            let row = row.filter(|row| filter.project.as_ref().is_none_or(|project| row.project == *project));
            let wanted = row.is_some();
            found.extend(row.map(|row| (seq, row)));
            Ok(wanted)
        })?;
        let items = found.into_iter().map(|(seq, row)| self.held_row(seq, row));
        Ok(Page { items: items.collect::<Result<_, _>>()?, next: met.next })
    }
}

/// [`crate::store::Store::accounts`].
pub(in crate::store) fn accounts(
    rows: &dyn Rows,
    filter: &AccountFilter,
    page: &PageRequest,
) -> Result<Page<Account>, StoreError> {
    let mut range = key::all(b'a');
    if let Some(Cursor(text)) = &page.cursor {
        let last: EmailAddress = text.parse().map_err(|_| StoreError::BadCursor(text.clone()))?;
        // The next key in order: the last one with a zero byte behind it.
        range.from = key::sender(&last);
        range.from.push(0);
    }
    let (mut items, mut more) = (Vec::new(), false);
    rows.scan(&range, Order::Oldest, &mut |place, value| {
        let row: SenderRow = decode(place, value)?;
        let Some(account) = row.account.filter(|account| matches(account, filter)) else {
            return Ok(ControlFlow::Continue(()));
        };
        if items.len() == page.limit.max(1) {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        items.push(account);
        Ok(ControlFlow::Continue(()))
    })?;
    let last = items.last().map(|account| Cursor(account.address.key().to_owned()));
    Ok(Page { items, next: last.filter(|_| more) })
}

fn matches(account: &Account, filter: &AccountFilter) -> bool {
    let domain = account.address.domain();
    filter.kind.is_none_or(|kind| kind == account.kind)
        && filter.domains.as_ref().is_none_or(|domains| domains.contains(domain))
}
