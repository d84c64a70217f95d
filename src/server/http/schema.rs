//! What requests and answers are made of, as the OpenAPI document says it.
//!
//! Each limit is the constant that the server checks. A limit of bytes is given as one of characters, because JSON
//! Schema can only limit characters. For ASCII both are the same, and the description names the bytes.
//!
//! Tests: `tests/python/integration/test_serve_openapi.py`.

use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::ask::{
    MOST_HITS, MOST_OF_NAME, MOST_OF_RESOURCES, MOST_OF_TOP, MOST_OF_VALUE, MOST_OF_VISITOR, RESOURCES, TOP,
};
use crate::service::last::Last as Span;
use crate::service::name::{MOST, MOST_OF_COUNTER, MOST_OF_ENDPOINT, MOST_OF_TYPE};
use crate::time::Timestamp;

/// A type that stands for a schema.
macro_rules! schemas {
    ($($name:ident: $schema:expr;)+) => {
        $(
            pub enum $name {}
            impl ToSchema for $name {}
            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    $schema.into()
                }
            }
        )+
    };
}

schemas! {
    ResourceId: text(MOST, "The id of a resource, 1 to 1,000 bytes of UTF-8.");
    ResourceName: text(MOST_OF_NAME, "What a resource is called.");
    Page: text(MOST, "The name of a page, 1 to 1,000 bytes of UTF-8.");
    CounterType: text(MOST_OF_TYPE, "The type of a counter.").pattern(Some("^[A-Za-z0-9_.-]+$"));
    CounterId: text(MOST_OF_COUNTER, "The id of a counter, 1 to 900 bytes of UTF-8.");
    Endpoint: text(MOST_OF_ENDPOINT, "The name of an endpoint in the ring, 1 to 1,024 bytes of UTF-8: hits/ID, visits/PAGE, \
        counter/TYPE/ID, or what another process counts under.");
    Visitor: text(MOST_OF_VISITOR, "Who it was. Different visitors are estimated, not stored.");
    Amount: number(0, MOST_HITS, "How many hits.").default(Some(1.into()));
    Wanted: number(0, MOST_OF_VALUE, "The value from now on, up to 2^53 - 1.");
    Last: ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(Span::PATTERN))
        .description(Some("How far back to look: a whole number of seconds, or of the unit s, m, h or d. Not given: the window."))
        .examples(["5m"]);
    Limit: number(1, MOST_OF_RESOURCES as u64, "The most resources of the answer.").default(Some(RESOURCES.into()));
    N: number(1, MOST_OF_TOP as u64, "The most endpoints of the answer.").default(Some(TOP.into()));
    Seconds: ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(0.0))
        .exclusive_maximum(Some(Timestamp::MAX.secs() as f64 + 1.0))
        .description(Some("Seconds since 1970."));
    Time: AnyOfBuilder::new()
        .item(Seconds::schema())
        .item(written())
        .description(Some("A time: seconds since 1970, or RFC 3339 with an offset."));
}

fn text(most: usize, what: &str) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.min_length(Some(1)).max_length(Some(most)).description(Some(what))
}

fn number(least: u64, most: u64, what: &str) -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    number.minimum(Some(least)).maximum(Some(most)).description(Some(what))
}

fn written() -> Object {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("RFC 3339 with an offset. A time before 1970 is 1970."))
        .build()
}

/// A reference to a schema of the document.
pub fn reference<T: ToSchema>() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(T::name()))
}
