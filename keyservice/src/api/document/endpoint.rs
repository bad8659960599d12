//! One endpoint, described: its parameters, its body, and what it answers.

use axum::http::Method;
use utoipa::{
    ToSchema,
    openapi::{
        Content, Header, HttpMethod, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
        path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::{ObjectBuilder, Type},
        security::SecurityRequirement,
    },
};

use super::rules;
use crate::{
    api::{auth::needed, wire::FleetView},
    domain::Role,
};

/// The media type of bodies and answers.
pub(super) const JSON: &str = "application/json";

/// The media type of problems (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// The security scheme of the admin API.
pub(super) const ADMIN: &str = "adminToken";

/// The security scheme of the node API.
pub(super) const NODE: &str = "nodeToken";

/// An endpoint as it is described, and the schemas that it refers to.
pub(super) struct Endpoint {
    pub(super) method: HttpMethod,
    pub(super) path: &'static str,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
    operation: OperationBuilder,
}

impl Endpoint {
    /// `id` names the operation in generated clients.
    pub(super) fn new(method: HttpMethod, path: &'static str, id: &str, summary: &str) -> Self {
        let operation = OperationBuilder::new().operation_id(Some(id)).summary(Some(summary));
        Self { method, path, schemas: Vec::new(), operation }
    }

    pub(super) fn get(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Get, path, id, summary)
    }

    pub(super) fn post(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Post, path, id, summary)
    }

    pub(super) fn patch(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Patch, path, id, summary)
    }

    pub(super) fn delete(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Delete, path, id, summary)
    }

    pub(super) fn described(self, text: &str) -> Self {
        self.with(|operation| operation.description(Some(text)))
    }

    /// An endpoint that opens with a token whose role may do that, and whose database may be away.
    pub(super) fn admin(self) -> Self {
        let role = needed(&axum_method(&self.method), self.path);
        let open = SecurityRequirement::new(ADMIN, [role.as_str()]);
        let this = self
            .with(|operation| operation.security(open))
            .refuses(400, BROKEN)
            .refuses(401, "The token is missing or wrong.")
            .refuses(429, "Too many wrong tokens came from this address.")
            .stored();
        match role {
            Role::Viewer => this,
            Role::Operator | Role::Admin => this.refuses(403, &format!("It takes a token of role {role}.")),
        }
    }

    /// An endpoint that opens with what is derived from the node token.
    pub(super) fn node(self) -> Self {
        let open = SecurityRequirement::new(NODE, [] as [&str; 0]);
        self.with(|operation| operation.security(open))
            .refuses(401, "What is derived from the node token is missing or wrong.")
            .stored()
    }

    /// An endpoint that opens with a token of the admin API or with any other bearer token, or to anybody.
    pub(super) fn admin_or_anybody(self) -> Self {
        let open = SecurityRequirement::new(ADMIN, [Role::Viewer.as_str()]);
        self.with(|operation| operation.security(open).security(SecurityRequirement::default()))
    }

    /// What asks the database may find it busy or broken.
    pub(super) fn stored(self) -> Self {
        self.refuses(500, "The database failed.").refuses(503, "The database is busy or out of reach; try again.")
    }

    /// A change: its actor is told by a header, and it can wait for the nodes.
    pub(super) fn changes(self) -> Self {
        let about = "For whom the holder of the token acts; the audit log names them. `admin`, `operator`, `viewer`, \
                     `keyservice` and what begins with `session:` are the service's own names, and refused.";
        let wait = "Answer when every live node serves the change, or when so many seconds are over; where no node is \
                    live, but lost ones may still serve, it is the latter. The answer then has a member `fleet` more \
                    (`FleetView`). The change is made either way.";
        self.header::<rules::Label>("x-tollkeeper-actor", about).query::<rules::WaitSeconds>("wait", wait)
    }

    /// A request that may be repeated without being carried out twice.
    pub(super) fn once(self) -> Self {
        let about = "For 24 hours, the same request with the same key makes nothing new.";
        self.header::<rules::IdempotencyText>("idempotency-key", about)
            .refuses(409, "It conflicts with what there is.")
            .refuses(422, "It names something that does not exist, or the key was used for another request.")
    }

    /// The id in the path.
    pub(super) fn id<T: ToSchema>(self) -> Self {
        self.named::<T>("id")
    }

    /// What is named in the path.
    pub(super) fn named<T: ToSchema>(self, name: &str) -> Self {
        let id = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
        let (this, schema) = self.reference::<T>();
        this.with(|operation| operation.parameter(id.schema(Some(schema)))).refuses(404, "There is nothing of that id.")
    }

    /// A list, page by page; `T` is what its items are ordered by.
    pub(super) fn page<T: ToSchema>(self) -> Self {
        self.query::<rules::PageLimit>("limit", "How many items a page has; 100 unless told.")
            .query::<T>("after", "The `next` of the page before.")
    }

    /// A parameter of the query that may be left out.
    pub(super) fn query<T: ToSchema>(self, name: &str, about: &str) -> Self {
        self.parameter::<T>(name, about, ParameterIn::Query, Required::False)
    }

    /// A parameter of the query that must be there.
    pub(super) fn required_query<T: ToSchema>(self, name: &str, about: &str) -> Self {
        self.parameter::<T>(name, about, ParameterIn::Query, Required::True)
    }

    fn header<T: ToSchema>(self, name: &str, about: &str) -> Self {
        self.parameter::<T>(name, about, ParameterIn::Header, Required::False)
    }

    fn parameter<T: ToSchema>(self, name: &str, about: &str, place: ParameterIn, required: Required) -> Self {
        let (this, schema) = self.reference::<T>();
        let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
        let parameter = parameter.description(Some(about)).schema(Some(schema));
        this.with(|operation| operation.parameter(parameter))
    }

    /// A JSON body that must be there.
    pub(super) fn takes<T: ToSchema>(self) -> Self {
        self.body::<T>(JSON, Required::True)
    }

    /// A JSON body that may be left out.
    pub(super) fn may_take<T: ToSchema>(self) -> Self {
        self.body::<T>(JSON, Required::False)
    }

    /// A form that must be there.
    pub(super) fn takes_form<T: ToSchema>(self) -> Self {
        self.media::<T>("application/x-www-form-urlencoded", Required::True)
    }

    fn media<T: ToSchema>(self, media: &str, required: Required) -> Self {
        let (this, schema) = self.reference::<T>();
        let body = RequestBodyBuilder::new().content(media, Content::new(Some(schema))).required(Some(required));
        this.with(|operation| operation.request_body(Some(body.build())))
    }

    fn body<T: ToSchema>(self, media: &str, required: Required) -> Self {
        self.media::<T>(media, required)
            .refuses(400, BROKEN)
            .refuses(408, "The body did not arrive in time.")
            .refuses(413, "The body is too long.")
            .refuses(415, "The body is of another media type.")
    }

    /// A JSON answer.
    pub(super) fn answers<T: ToSchema>(self, status: u16, about: &str) -> Self {
        self.answers_with::<T>(status, about, JSON)
    }

    /// An answer of another media type.
    pub(super) fn answers_with<T: ToSchema>(self, status: u16, about: &str, media: &str) -> Self {
        let (this, schema) = self.reference::<T>();
        this.answer(
            status,
            ResponseBuilder::new().description(about).content(media, Content::new(Some(schema))).build(),
        )
    }

    /// A change that has nothing to tell but, if it is asked to wait, how far the nodes are.
    pub(super) fn done(self, about: &str) -> Self {
        self.answers_nothing(204, about).answers::<Waited>(200, "The same, and how far the nodes are (with `wait`).")
    }

    /// An answer without a body.
    pub(super) fn answers_nothing(self, status: u16, about: &str) -> Self {
        self.answer(status, Response::new(about))
    }

    /// A refusal, as a problem.
    pub(super) fn refuses(self, status: u16, about: &str) -> Self {
        self.refuses_with::<Problem>(status, about, PROBLEM)
    }

    /// A refusal in a form of its own.
    pub(super) fn fails<T: ToSchema>(self, status: u16, about: &str) -> Self {
        self.refuses_with::<T>(status, about, JSON)
    }

    fn refuses_with<T: ToSchema>(self, status: u16, about: &str, media: &str) -> Self {
        let (this, schema) = self.reference::<T>();
        let mut refusal = ResponseBuilder::new().description(about).content(media, Content::new(Some(schema)));
        if status == 401 {
            refusal = refusal.header("www-authenticate", text_header("How to authenticate."));
        }
        this.answer(status, refusal.build())
    }

    fn answer(self, status: u16, answer: Response) -> Self {
        self.with(|operation| operation.response(status.to_string(), answer))
    }

    fn with(mut self, change: impl FnOnce(OperationBuilder) -> OperationBuilder) -> Self {
        self.operation = change(self.operation);
        self
    }

    /// A reference to the schema of `T`, which the document then has to hold.
    fn reference<T: ToSchema>(mut self) -> (Self, RefOr<Schema>) {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        (self, Ref::from_schema_name(T::name()).into())
    }

    pub(super) fn operation(self, tag: &str) -> Operation {
        self.operation.tag(tag).build()
    }
}

fn axum_method(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
    }
}

const BROKEN: &str = "The request breaks a rule; `field` names where.";

fn text_header(about: &str) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String).build());
    header.description = Some(about.to_owned());
    header
}

/// The answer to a change that waited and has nothing else to tell.
#[derive(ToSchema)]
#[expect(dead_code, reason = "`api::fleet` adds the member to whatever was answered")]
struct Waited {
    /// How far the nodes are.
    fleet: FleetView,
}

/// A refusal or a failure (RFC 9457).
#[derive(ToSchema)]
#[expect(dead_code, reason = "problems are written field by field; a test holds real ones against this")]
pub(super) struct Problem {
    /// `about:blank`: the status says what sort of problem it is.
    r#type: String,
    /// The words of the status.
    title: String,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong, and what to do.
    detail: String,
    /// A stable word for what is wrong, for programs.
    #[schema(pattern = "^[a-z0-9_]+$")]
    reason: String,
    /// The field, parameter or header that causes it.
    #[schema(required = false)]
    field: Option<String>,
}
