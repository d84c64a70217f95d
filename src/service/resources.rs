//! Resources: made with a name, listed, and removed with their hits.
//!
//! | | in the database | in the ring |
//! |---|---|---|
//! | made by a request | id, name, time | the endpoint `hits/ID`, from before the answer on |
//! | made by its first hit | | the endpoint |
//! | removed | | |
//!
//! So a hit looks into the ring alone to know whether there is such a resource. While one is being made or removed, it is in one of the
//! two. Readers leave it out then, and fill the page with those that follow. When the answer is sent, the two agree: a hit that makes a
//! removed resource again is found at once.
//!
//! Tests: `tests/service/resources.rs`, `tests/python/integration/test_serve_resources.py`.

use uuid::Uuid;

use super::name::{Name, NameError};
use super::{Refusal, Service};
use crate::store::{Act, Answer, Answered, Key, Order, Resource};
use crate::time::Timestamp;

/// A resource, however it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its name; the id, if its first hit made it.
    pub name: String,
    /// When it was made; `None` if its first hit made it.
    pub created: Option<Timestamp>,
}

impl Service {
    /// Makes a resource that is called `name`. `answer` makes the answer, and `done` is called with the outcome.
    ///
    /// # Errors
    /// [`Refusal::Lost`], [`Refusal::Failed`], and then neither `answer` nor `done` is called.
    pub fn create_resource(
        &self,
        name: String,
        key: Option<Key>,
        answer: impl FnOnce(Listed) -> Answer + Send + 'static,
        done: impl FnOnce(Result<Answered, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let now = self.ring.clock().now();
        let micros = now.subsec_nanos() / 1_000;
        let created = Timestamp::new(now.secs(), micros * 1_000).unwrap_or(now);
        let id = self.ids.next(now);
        let endpoint = endpoint_of(&id).map_err(|error| Refusal::Failed { why: error.to_string() })?;
        let listed = Listed { id: id.clone(), name: name.clone(), created: Some(created) };
        let act = Act::Create { resource: Resource { id, name, created }, endpoint };
        self.order(Order { act, key, is_disk: true, answer: Box::new(move |_| answer(listed)) }, done)
    }

    /// Removes the resource `id`, whose hits are those of `name`, with all of them.
    ///
    /// # Errors
    /// As [`create_resource`](Self::create_resource).
    pub fn delete_resource(
        &self,
        id: &str,
        name: &Name,
        key: Option<Key>,
        answer: impl FnOnce() -> Answer + Send + 'static,
        done: impl FnOnce(Result<Answered, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let act = Act::Delete { id: Some(id.to_owned()), endpoint: name.endpoint().to_owned() };
        self.order(Order { act, key, is_disk: true, answer: Box::new(move |_| answer()) }, done)
    }

    /// The resource `id`, whose hits are those of `name`.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] if the resource does not exist; [`Refusal::Lost`], [`Refusal::Store`].
    pub fn resource(&self, id: &str, name: &Name) -> Result<Listed, Refusal> {
        self.check()?;
        let is_in_ring = self.ring.contains(name.endpoint());
        if let Some(resource) = self.store.resource(id).map_err(Refusal::Store)? {
            return Ok(resource.into());
        }
        let made_by_a_hit = if is_in_ring { self.made_by_a_hit(id, name.endpoint())? } else { None };
        made_by_a_hit.ok_or(Refusal::Unknown)
    }

    /// The first `most` resources whose ids come after `after`, in the order of their ids. It reads the names of all endpoints.
    ///
    /// # Errors
    /// [`Refusal::Lost`], [`Refusal::Store`].
    pub fn resources(&self, after: &str, most: usize) -> Result<Vec<Listed>, Refusal> {
        self.check()?;
        let endpoints = self.ring.endpoints();
        let made = self.store.resources(after, most).map_err(Refusal::Store)?;
        let mut all: Vec<Listed> = made.into_iter().map(Listed::from).collect();
        let mut others = Vec::new();
        // Endpoints are in the order of their names.
        let ids = endpoints.iter().filter_map(|endpoint| Some((Name::resource_of(endpoint)?, endpoint)));
        let last = all.last().filter(|_| all.len() >= most).map(|listed| listed.id.as_str());
        for (id, endpoint) in ids.filter(|&(id, _)| id > after) {
            // Counts found resources, not names. A page with fewer than `most` says that none follow, so a name that is left out
            // must not shorten it.
            if others.len() >= most || last.is_some_and(|last| id > last) {
                break;
            }
            if all.binary_search_by(|listed| listed.id.as_str().cmp(id)).is_err() {
                others.extend(self.made_by_a_hit(id, endpoint)?);
            }
        }
        all.append(&mut others);
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all.truncate(most);
        Ok(all)
    }

    /// The resource `id`, which the ring had and the database had not when they were looked at, one after the other.
    fn made_by_a_hit(&self, id: &str, endpoint: &str) -> Result<Option<Listed>, Refusal> {
        if self.store.is_under_way(endpoint) {
            return Ok(None);
        }
        // It may have been made or removed since then.
        if let Some(resource) = self.store.resource(id).map_err(Refusal::Store)? {
            return Ok(Some(resource.into()));
        }
        let listed = Listed { id: id.to_owned(), name: id.to_owned(), created: None };
        Ok(Some(listed).filter(|_| self.ring.contains(endpoint)))
    }
}

/// The endpoint of the resource `id`.
///
/// # Errors
/// [`NameError`].
pub fn endpoint_of(id: &str) -> Result<String, NameError> {
    Name::resource(id).map(|name| name.endpoint().to_owned())
}

/// Whether `endpoint` is that of a resource whose id was made here.
#[must_use]
pub fn is_made(endpoint: &str) -> bool {
    let id = Name::resource_of(endpoint).and_then(|id| Uuid::try_parse(id).ok());
    id.is_some_and(|id| id.get_version_num() == 7)
}

impl From<Resource> for Listed {
    fn from(Resource { id, name, created }: Resource) -> Self {
        Self { id, name, created: Some(created) }
    }
}
