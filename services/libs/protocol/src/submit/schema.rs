//! What a schema cannot be derived for.

use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Dependency, Workspace};

fn id() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .build()
}

fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

/// An object with one field, which it must have.
fn only(field: &str, value: Object) -> Object {
    ObjectBuilder::new().schema_type(Type::Object).property(field, value).required(field).build()
}

impl PartialSchema for Dependency {
    fn schema() -> RefOr<Schema> {
        let about = "A task that must end first: its id, or its `ref` in the same submit.";
        OneOfBuilder::new().item(id()).item(only("ref", text())).description(Some(about)).into()
    }
}

impl ToSchema for Dependency {}

impl PartialSchema for Workspace {
    fn schema() -> RefOr<Schema> {
        let about = "What the work folder starts from: a git repository, a copy of a folder, the work of a terminal \
                     task, or what a task of which the push failed had ready.";
        let flag = || ObjectBuilder::new().schema_type(Type::Boolean).build();
        let pull_request = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("title", text())
            .property("base", text())
            .property("draft", flag())
            .build();
        let git = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("url", text())
            .required("url")
            .property("ref", text())
            .property("depth", ObjectBuilder::new().schema_type(Type::Integer).build())
            .property("submodules", flag())
            .property("lfs", flag())
            .property(
                "push",
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["none", "branch"])).build(),
            )
            .property("branch", text())
            .property("pull_request", pull_request)
            .build();
        OneOfBuilder::new()
            .item(only("git", git))
            .item(only("copy", text()))
            .item(only("continue", id()))
            .item(only("push", id()))
            .description(Some(about))
            .into()
    }
}

impl ToSchema for Workspace {}
