//! The OpenAPI document: what the handlers say of themselves, and what is true of all of them.
//!
//! Tests: `tests/python/integration/test_serve_openapi.py`.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Content, InfoBuilder, LicenseBuilder, OpenApi, RefOr, ResponseBuilder};

use super::problem::{Document, MEDIA_TYPE};
use super::schema;

/// What every operation may answer beside what it says.
const REFUSAL: &str = "Nothing was done, and `detail` says what to change. 400: the request does not fit this document, or its \
    range ends before it begins. 404: the name does not exist. 405: the route does not have this method. 408: the body did not come in 10 \
    seconds. 409: the request fits, but not this server's clock or counts. 413: the body has more than 65,536 bytes. 415: the \
    body is not application/json. 422: the Idempotency-Key was used for another request. 429: a limit of requests is reached; \
    Retry-After says how many seconds to wait. 500: the server failed. 503: the server is busy, and Retry-After says how many \
    seconds to wait; or the ring file is lost. 507: the file has no room for another name, or some visitors found none.";

/// What the handlers say, with what is true of all.
pub fn completed(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("hitring")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Counts hits, and answers how many there were in the last seconds.\n\nEvery write takes `Prefer: durability=process|disk` \
             (RFC 7240), which is answered by `Preference-Applied`, and `Idempotency-Key`: with a key it is done once, a replay is \
             answered as the first time with `Idempotency-Replayed: true`, and another request under the key is refused with 422.",
        ))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()))
        .build();
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let after = HeaderBuilder::new()
        .schema(Some(seconds))
        .description(Some("With 429 and 503 busy: try again after so many seconds."))
        .build();
    let refusal = ResponseBuilder::new()
        .description(REFUSAL)
        .header("retry-after", after)
        .content(MEDIA_TYPE, Content::new(Some(schema::reference::<Document<'_>>())))
        .build();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        operation.responses.responses.insert("default".to_owned(), RefOr::T(refusal.clone()));
        let Some(RefOr::T(body)) = &mut operation.request_body else { continue };
        for content in body.content.values_mut() {
            let RefOr::T(Content { schema: Some(schema), .. }) = content else { continue };
            // A body that may be missing is not one that may be null.
            let RefOr::T(Schema::OneOf(either)) = &*schema else { continue };
            if let Some(one) = either.items.iter().find(|item| matches!(item, RefOr::Ref(_))).cloned() {
                *schema = one;
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut)
}
