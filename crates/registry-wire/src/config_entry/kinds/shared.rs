//! Fields that several kinds have.

use super::super::schema::{
    Field,
    Holds::{AnyMap, Count, Flag, Nanos, Number, Object, Objects, Text, TextMap, Texts},
    always, filled, given, never,
};

pub(super) const KIND: Field = always("Kind", Text);
pub(super) const NAME: Field = always("Name", Text);
pub(super) const META: Field = filled("Meta", TextMap);
pub(super) const HASH: Field = never("Hash", Count(64));
pub(super) const CREATE_INDEX: Field = never("CreateIndex", Count(64));
pub(super) const MODIFY_INDEX: Field = never("ModifyIndex", Count(64));

pub(super) const TRANSPARENT_PROXY: Field = always(
    "TransparentProxy",
    Object(&[filled("OutboundListenerPort", Number), filled("DialedDirectly", Flag)]),
);
pub(super) const MESH_GATEWAY: Field = always("MeshGateway", Object(&[filled("Mode", Text)]));
pub(super) const EXPOSE: Field = always(
    "Expose",
    Object(&[
        filled("Checks", Flag),
        filled(
            "Paths",
            Objects(&[
                filled("ListenerPort", Number),
                filled("Path", Text),
                filled("LocalPathPort", Number),
                filled("Protocol", Text),
            ]),
        ),
    ]),
);
pub(super) const ENVOY_EXTENSIONS: Field = filled(
    "EnvoyExtensions",
    Objects(&[
        always("Name", Text),
        always("Required", Flag),
        always("Arguments", AnyMap),
        always("ConsulVersion", Text),
        always("EnvoyVersion", Text),
    ]),
);
pub(super) const PASSIVE_HEALTH_CHECK: Field = given(
    "PassiveHealthCheck",
    Object(&[
        filled("Interval", Nanos),
        filled("MaxFailures", Count(32)),
        given("EnforcingConsecutive5xx", Count(32)),
        given("MaxEjectionPercent", Count(32)),
        given("BaseEjectionTime", Nanos),
    ]),
);

pub(super) const HEADERS: &[Field] =
    &[filled("Add", TextMap), filled("Set", TextMap), filled("Remove", Texts)];
pub(super) const REQUEST_HEADERS: Field = given("RequestHeaders", Object(HEADERS));
pub(super) const RESPONSE_HEADERS: Field = given("ResponseHeaders", Object(HEADERS));

pub(super) const JWT: Field = given(
    "JWT",
    Object(&[filled(
        "Providers",
        Objects(&[
            filled("Name", Text),
            filled("VerifyClaims", Objects(&[filled("Path", Texts), filled("Value", Text)])),
        ]),
    )]),
);
