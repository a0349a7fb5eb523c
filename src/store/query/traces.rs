//! What is kept of one person: found in the rows, and where they do not say it in the journal.

use std::{collections::BTreeSet, ops::ControlFlow};

use serde_bytes::ByteBuf;

use super::View;
use crate::{
    access::Outcome,
    store::{
        ConfirmationView, DeliveryKind, Disposition, Effect, Forget, Job, JobKind, Once, Order, SentMail,
        StoreError, Traces,
        machine::PlanEvent,
        rows::{DecisionIndex, HeldIndex, Key, Location, RequestIndex, Row, TokenRow, decode, key, read},
        threads::AddressHash,
    },
    types::{EmailAddress, RequestId, VerificationId},
};

impl View<'_> {
    /// [`crate::store::Store::traces`]. Rows that come to be meanwhile are left out: they count as later.
    pub(in crate::store) fn traces(&self, address: &EmailAddress) -> Result<Traces, StoreError> {
        let mut found = Found { view: *self, address, traces: nothing_of(address), records: BTreeSet::new() };
        self.rows.scan(&key::sender_decisions(address), Order::Oldest, &mut |place, _| {
            found.traces.forget.decisions.push(key::number(place).unwrap_or(0));
            Ok(ControlFlow::Continue(()))
        })?;
        found.traces.decisions = found.traces.forget.decisions.len();
        for seq in found.traces.forget.decisions.clone() {
            found.decision(seq)?;
        }
        found.mentions()?;
        found.jobs()?;
        found.letters()?;
        Ok(found.traces)
    }

    /// All rows of one letter, decoded.
    fn each<T: Row>(
        &self,
        letter: u8,
        mut visit: impl FnMut(&[u8], T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.rows.scan(&key::all(letter), Order::Oldest, &mut |place, value| {
            visit(place, decode(place, value)?)?;
            Ok(ControlFlow::Continue(()))
        })
    }
}

fn nothing_of(address: &EmailAddress) -> Traces {
    let forget = Forget {
        address: Some(address.clone()),
        digest: AddressHash::of(address),
        decisions: Vec::new(),
        comments: Vec::new(),
        named_in: Vec::new(),
        seen: Vec::new(),
        jobs: Vec::new(),
        rows: Vec::new(),
    };
    Traces {
        forget,
        requests: Vec::new(),
        comments: Vec::new(),
        mentions: Vec::new(),
        waiting_mentions: Vec::new(),
        decisions: 0,
        dropped: 0,
        verifications: 0,
        outbox: 0,
        sent: 0,
        bytes: 0,
    }
}

struct Found<'a> {
    view: View<'a>,
    address: &'a EmailAddress,
    traces: Traces,
    /// The records of its mails whose bytes are counted.
    records: BTreeSet<Location>,
}

impl Found<'_> {
    fn decision(&mut self, seq: u64) -> Result<(), StoreError> {
        let row: Option<DecisionIndex> = read(self.view.rows, &key::decision(seq))?;
        let Some(row) = row else { return Ok(()) };
        self.traces.dropped += usize::from(row.held_at.is_none() && row.reason.outcome() == Outcome::Drop);
        let opened = row.opened.map(|number| RequestId { project: row.project.clone(), number });
        self.traces.requests.extend(opened);
        // What is damaged says nothing, and is not rewritten either.
        let Ok(event) = self.view.plan(row.record)? else { return Ok(()) };
        let disposition = match event.decisions().nth(row.nth as usize) {
            Some((_, Effect::Record(entry))) => {
                let message_id = event.plan.mail.as_ref().and_then(|mail| mail.facts.message_id.as_deref());
                let once = entry.once.map(|digest| Once::of(&entry.project, message_id, digest));
                let seen = once.map(|once| (buf(&key::seen(&once)), once.digest));
                self.traces.forget.seen.extend(seen);
                self.count_bytes(row.record, &event, &entry.disposition);
                &entry.disposition
            }
            Some((_, Effect::Resolve(end))) => &end.disposition,
            _ => return Ok(()),
        };
        if let Disposition::Comment(request) = disposition {
            let place = key::comment(&request.project, request.number, seq);
            self.traces.forget.comments.push(buf(&place));
            self.traces.comments.push(request.clone());
        }
        Ok(())
    }

    fn count_bytes(&mut self, at: Location, event: &PlanEvent, disposition: &Disposition) {
        let keeps = event.raw_until.is_none() && *disposition != Disposition::Drop { keep_raw: false };
        if keeps && self.records.insert(at) {
            self.traces.bytes += event.plan.mail.as_ref().map_or(0, |mail| mail.facts.size);
        }
    }

    /// Requests and waiting mails of others that name the address in To or Cc.
    fn mentions(&mut self) -> Result<(), StoreError> {
        let digest = self.traces.forget.digest;
        let (view, traces) = (self.view, &mut self.traces);
        view.each(b'q', |place, row: RequestIndex| {
            if row.participants.contains(&digest) {
                traces.forget.named_in.push(buf(place));
                let number = key::number(place).unwrap_or(0);
                let project = key::project_of(place).parse();
                traces.mentions.extend(project.ok().map(|project| RequestId { project, number }));
            }
            Ok(())
        })?;
        view.each(b'h', |place, row: HeldIndex| {
            if row.participants.contains(&digest) {
                traces.forget.named_in.push(buf(place));
                traces.waiting_mentions.push(row.id);
            }
            Ok(())
        })
    }

    /// Mails to the address, its own mails that go on to the postmaster, and the release of what waited.
    fn jobs(&mut self) -> Result<(), StoreError> {
        let mut jobs: Vec<(Key, Job)> = Vec::new();
        self.view.each(b'j', |place, job| {
            jobs.push((Key::from_slice(place), job));
            Ok(())
        })?;
        for (place, job) in jobs {
            let is_ours = match &job.kind {
                JobKind::Deliver(delivery) if delivery.to == *self.address => true,
                JobKind::Deliver(delivery) => match &delivery.kind {
                    DeliveryKind::Forward { body: Some(body), .. } => {
                        self.has_written(Location::from(body))?
                    }
                    _ => false,
                },
                JobKind::Release { address, .. } => address == self.address,
                JobKind::Expire(_) => false,
            };
            let Some(queue) = key::queue_of(&place).filter(|_| is_ours) else { continue };
            self.traces.outbox += usize::from(matches!(job.kind, JobKind::Deliver(_)));
            self.traces.forget.jobs.push((queue, job.id));
        }
        Ok(())
    }

    fn has_written(&self, at: Location) -> Result<bool, StoreError> {
        let mail = self.view.plan(at)?.ok().and_then(|event| event.plan.mail);
        Ok(mail.and_then(|mail| mail.facts.sender).as_ref() == Some(self.address))
    }

    /// Verifications with their tokens, confirmations, and mails of ours that may come back.
    fn letters(&mut self) -> Result<(), StoreError> {
        let mut verifications = BTreeSet::new();
        self.view.rows.scan(&key::address_verifications(self.address), Order::Oldest, &mut |place, _| {
            verifications.extend(key::uuid_of(place).map(VerificationId::new));
            Ok(ControlFlow::Continue(()))
        })?;
        self.traces.verifications = verifications.len();
        let (view, address, rows) = (self.view, self.address, &mut self.traces.forget.rows);
        rows.extend(verifications.iter().map(|id| buf(&key::verification(*id))));
        let mut add = |place: &[u8], is_ours: bool| {
            rows.extend(is_ours.then(|| buf(place)));
            Ok(())
        };
        view.each(b't', |place, row: TokenRow| add(place, verifications.contains(&row.verification)))?;
        view.each(b'e', |place, row: ConfirmationView| add(place, row.address == *address))?;
        let sent = &mut self.traces.sent;
        view.each(b'o', |place, row: SentMail| {
            *sent += usize::from(row.to == *address);
            add(place, row.to == *address)
        })
    }
}

fn buf(place: &[u8]) -> ByteBuf {
    ByteBuf::from(place)
}
