//! Walking an index page by page.

use std::ops::ControlFlow;

use crate::store::{
    Cursor, Order, Page, PageRequest, StoreError,
    rows::{KeyRange, Rows, key},
};

/// Most rows looked at for one page. A page may so have fewer items than asked for and yet go on.
const MAX_LOOKS: usize = 50_000;

/// One walk over keys that end in a number.
pub(super) struct Walk<'a> {
    pub(super) rows: &'a dyn Rows,
    pub(super) range: KeyRange,
    pub(super) page: &'a PageRequest,
}

impl Walk<'_> {
    /// The numbers of the page's rows that are wanted, and where to go on.
    pub(super) fn run(
        self,
        wanted: &mut dyn FnMut(u64) -> Result<bool, StoreError>,
    ) -> Result<Page<u64>, StoreError> {
        let (order, limit) = (self.page.order, self.page.limit.max(1));
        let start = self.page.cursor.as_ref().map(position).transpose()?;
        let range = behind(self.range, start, order);
        let (mut items, mut last, mut looks, mut more) = (Vec::new(), start, 0, false);
        self.rows.scan(&range, order, &mut |place, _| {
            if items.len() == limit || looks == MAX_LOOKS {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            looks += 1;
            let Some(number) = key::number(place) else { return Ok(ControlFlow::Continue(())) };
            last = Some(number);
            if wanted(number)? {
                items.push(number);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let next = match order {
            Order::Newest => last.filter(|_| more),
            Order::Oldest => Some(last.unwrap_or(0)),
        };
        Ok(Page { items, next: next.map(|number| Cursor(number.to_string())) })
    }
}

fn position(cursor: &Cursor) -> Result<u64, StoreError> {
    cursor.0.parse().map_err(|_| StoreError::BadCursor(cursor.0.clone()))
}

/// The part of the range that lies behind the place where the last page ended.
fn behind(mut range: KeyRange, start: Option<u64>, order: Order) -> KeyRange {
    let Some(start) = start else { return range };
    let place = |number: u64| {
        let mut place = range.from.clone();
        place.extend_from_slice(&number.to_be_bytes());
        place
    };
    match order {
        Order::Newest => range.until = place(start),
        Order::Oldest => range.from = start.checked_add(1).map_or(range.until.clone(), place),
    }
    range
}
