//! This module generates the reference document (OpenAPI 3.1) from the table of routes, the descriptions of parameters and the
//! shapes of replies. It must not define an endpoint or a rule.

mod answers;
mod parameters;
pub mod schemas;

pub use answers::{AnswerShape, DOCUMENTED, Documented, documented_answer as documented};
pub use parameters::{ParameterKind, REFUSED, describe};

use super::endpoint::{Endpoint, EndpointWeight, Security};
use schemas::{Decimal, Empty, Error, OrderCount, RateLimit, ServerTime, Timestamp, account, amendments, market, trading};
use utoipa::OpenApi;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::schema::{AnyOfBuilder, Array, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, ResponseBuilder};

const HEADER_KEY: &str = "apiKey";
const ABOUT: &str = "A spot exchange whose API is that of Binance Spot (api/v3): a client works when only its base URL changes. \
    Numbers are strings with eight decimal places, times are milliseconds, errors are `{\"code\":-n,\"msg\":\"…\"}`. \
    An order is acknowledged when it is durable. [Differences from Binance](/docs/differences).\n\n\
    **Signed endpoints** need the header `X-MBX-APIKEY`, a `timestamp` and a `signature` (HMAC-SHA256 or Ed25519) over query and \
    body as sent. Send parameters of POST and DELETE in the query or in a form-encoded body.";

/// In reading order for a new user.
const GROUPS: [(&str, &str); 5] = [
    ("general", "Connectivity and trading rules"),
    ("market data", "Public, served from memory"),
    ("trading", "Orders and order lists: acknowledged when durable"),
    ("account", "Balances and history of an account"),
    ("wallet", "Wallet requests that clients send before they trade"),
];

#[derive(OpenApi)]
#[openapi(components(schemas(
    Decimal,
    Timestamp,
    Error,
    Empty,
    ServerTime,
    RateLimit,
    OrderCount,
    market::ExchangeInfo,
    market::Symbol,
    market::Filter,
    market::Depth,
    market::Trade,
    market::AggregateTrade,
    market::AveragePrice,
    market::ExecutionRules,
    market::SymbolRules,
    market::ExecutionRule,
    market::ReferencePrice,
    market::DayTicker,
    market::MiniDayTicker,
    market::WindowTicker,
    market::PriceTicker,
    market::BookTicker,
    trading::NewOrder,
    trading::Order,
    trading::Canceled,
    trading::OrderList,
    trading::PlacedOrderList,
    trading::CanceledOrderList,
    trading::CancelReplace,
    trading::CancelReplaceError,
    amendments::AmendedOrder,
    amendments::Amendment,
    account::Account,
    account::AccountCommission,
    account::OrderCommission,
    account::AccountTrade,
    account::PreventedMatch,
    account::AccountFilters,
    account::SystemStatus,
    account::Coin,
    account::TradeFee,
    account::NoSymbols,
    account::ListenKey,
    account::RequestedStatement,
    account::Statement,
    account::StatementLink,
)))]
struct Schemas;

/// The document of `endpoints`.
pub fn openapi_document(endpoints: &[Endpoint]) -> utoipa::openapi::OpenApi {
    let mut document = Schemas::openapi();
    document.info.title = "Spot exchange".to_owned();
    document.info.description = Some(ABOUT.to_owned());
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.license = None;
    document.info.contact = None;
    document.tags = Some(GROUPS.iter().map(|(name, text)| tag(name, text)).collect());
    let mut paths = PathsBuilder::new();
    for endpoint in endpoints {
        let method = match endpoint.method.as_str() {
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            "DELETE" => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        paths = paths.path(endpoint.path, PathItem::new(method, operation(endpoint)));
    }
    document.paths = paths.build();
    if let Some(components) = &mut document.components {
        let key =
            ApiKey::Header(ApiKeyValue::with_description("X-MBX-APIKEY", "The API key; the request is signed with its secret."));
        components.add_security_scheme(HEADER_KEY, SecurityScheme::ApiKey(key));
    }
    document
}

fn operation(endpoint: &Endpoint) -> Operation {
    let documented = answers::documented_answer(endpoint.method.as_str(), endpoint.path);
    let required = documented.map_or(&[][..], |documented| documented.required);
    let (weight, security) = (weight(endpoint), security(endpoint.security));
    let mut operation = OperationBuilder::new()
        .tag(endpoint.group.replace('_', " "))
        .summary(Some(endpoint.summary))
        .description(Some(format!("Weight: {weight}. Security: {security}.")))
        .operation_id(Some(operation_id(endpoint)))
        .extensions(Some(ExtensionsBuilder::new().add("x-security", security).build()));
    for name in endpoint.parameters.iter().filter(|name| !REFUSED.contains(name)) {
        if let Some((kind, text)) = describe(endpoint.path, name) {
            operation = operation.parameter(parameter(name, kind, text, required.contains(name)));
        }
    }
    if endpoint.security == Security::UserStream {
        operation = operation.security(SecurityRequirement::new(HEADER_KEY, [""; 0]));
    } else if endpoint.security != Security::None {
        let window = "Validity of the request in milliseconds. Default 5000, at most 60000.";
        operation = operation
            .parameter(parameter("recvWindow", ParameterKind::Decimal, window, false))
            .parameter(parameter("timestamp", ParameterKind::Time, "Time at which the request was created.", true))
            .parameter(parameter("signature", ParameterKind::Text, "Signature of query and body as sent.", true))
            .security(SecurityRequirement::new(HEADER_KEY, [""; 0]));
    }
    if let Some(schema) = documented.and_then(|documented| schema(documented.shape)) {
        operation = operation.response("200", answer("Answered.", schema));
    }
    if endpoint.path.ends_with("/cancelReplace") {
        operation = operation.response("409", answer("One half failed.", named("CancelReplaceError")));
        for (status, text) in [("400", "Refused, or both halves failed."), ("429", "No room for another order.")] {
            operation = operation.response(status, answer(text, any_of(&["CancelReplaceError", "Error"])));
        }
    }
    operation
        .response("default", answer("Refused or failed: 4XX for a client error, 5XX for a server error.", named("Error")))
        .build()
}

fn tag(name: &str, text: &str) -> utoipa::openapi::Tag {
    utoipa::openapi::tag::TagBuilder::new().name(name).description(Some(text)).build()
}

fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint.path.split('/').filter(|word| !word.is_empty());
    words.fold(endpoint.method.as_str().to_lowercase(), |id, word| format!("{id}_{word}"))
}

fn weight(endpoint: &Endpoint) -> String {
    match endpoint.weight {
        EndpointWeight::Fixed(weight) => weight.to_string(),
        EndpointWeight::Of(weigh) => {
            format!("{} or more, depending on the parameters", weigh(&super::parameters::Parameters::default()))
        }
    }
}

const fn security(security: Security) -> &'static str {
    match security {
        Security::None => "NONE",
        Security::UserData => "USER_DATA",
        Security::UserStream => "USER_STREAM",
        Security::Trade => "TRADE",
        Security::Withdraw => "WITHDRAW",
    }
}

fn parameter(name: &str, kind: ParameterKind, text: &str, required: bool) -> Parameter {
    let of = |kind: Type| ObjectBuilder::new().schema_type(kind);
    let schema: Schema = match kind {
        ParameterKind::Text => of(Type::String).into(),
        ParameterKind::Integer | ParameterKind::Time => {
            of(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))).into()
        }
        ParameterKind::Decimal => of(Type::String).pattern(Some(r"^\d+(\.\d+)?$")).into(),
        ParameterKind::Boolean => of(Type::Boolean).into(),
        ParameterKind::Texts => of(Type::String).into(),
        ParameterKind::One(values) => of(Type::String).enum_values(Some(values())).into(),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(if required { Required::True } else { Required::False })
        .description(Some(text))
        .schema(Some(schema))
        .build()
}

fn answer(text: &str, schema: RefOr<Schema>) -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(text).content("application/json", content).build()
}

fn schema(shape: AnswerShape) -> Option<RefOr<Schema>> {
    Some(match shape {
        AnswerShape::One(name) => named(name),
        AnswerShape::Many(name) => Array::new(named(name)).into(),
        AnswerShape::OneOrMany(names) => {
            let mut any = AnyOfBuilder::new();
            for name in names {
                any = any.item(named(name)).item(Array::new(named(name)));
            }
            Schema::AnyOf(any.build()).into()
        }
        AnswerShape::AnyOf(names) => any_of(names),
        AnswerShape::Candles => Array::new(candle()).into(),
        AnswerShape::Refused => return None,
    })
}

fn any_of(names: &[&str]) -> RefOr<Schema> {
    let any = names.iter().fold(AnyOfBuilder::new(), |any, name| any.item(named(name)));
    Schema::AnyOf(any.build()).into()
}

fn named(schema: &str) -> RefOr<Schema> {
    Ref::from_schema_name(schema).into()
}

/// Open time, open, high, low, close, volume, close time, quote volume, number of trades, taker buy base volume, taker buy quote
/// volume, unused.
fn candle() -> Schema {
    let (time, decimal) = (|| Schema::from(integer("Milliseconds.")), |text: &str| Schema::from(text_schema(text)));
    let columns: [Schema; 12] = [
        time(),
        decimal("Open."),
        decimal("High."),
        decimal("Low."),
        decimal("Close."),
        decimal("Volume, base asset."),
        time(),
        decimal("Volume, quote asset."),
        integer("Trades.").into(),
        decimal("Taker buy volume, base asset."),
        decimal("Taker buy volume, quote asset."),
        decimal("Unused."),
    ];
    ArrayBuilder::new()
        .description(Some(
            "Open time, open, high, low, close, volume, close time, quote volume, trades, taker's volumes, unused.",
        ))
        .prefix_items(columns)
        .items(utoipa::openapi::schema::ArrayItems::False)
        .min_items(Some(12))
        .max_items(Some(12))
        .build()
        .into()
}

fn integer(text: &str) -> utoipa::openapi::schema::Object {
    ObjectBuilder::new().schema_type(Type::Integer).description(Some(text)).build()
}

fn text_schema(text: &str) -> utoipa::openapi::schema::Object {
    ObjectBuilder::new().schema_type(Type::String).description(Some(text)).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ENDPOINTS;

    #[test]
    fn every_endpoint_is_documented_and_nothing_else_is() {
        let routed: Vec<_> = ENDPOINTS.iter().map(|endpoint| (endpoint.method.as_str(), endpoint.path)).collect();
        for (method, path) in &routed {
            assert!(
                answers::documented_answer(method, path).is_some(),
                "{method} {path}: add its parameters and replies to DOCUMENTED"
            );
        }
        for row in DOCUMENTED {
            assert!(routed.contains(&(row.method, row.path)), "{} {} is documented but does not exist", row.method, row.path);
        }
    }

    #[test]
    fn every_parameter_is_described_and_every_required_one_exists() {
        for endpoint in ENDPOINTS {
            for name in endpoint.parameters.iter().filter(|name| !REFUSED.contains(name)) {
                assert!(describe(endpoint.path, name).is_some(), "{} {name}: add a description", endpoint.path);
            }
            for name in answers::documented_answer(endpoint.method.as_str(), endpoint.path).map_or(&[][..], |row| row.required) {
                assert!(endpoint.parameters.contains(name), "{} requires {name} but does not read it", endpoint.path);
            }
            let group = endpoint.group.replace('_', " ");
            assert!(GROUPS.iter().any(|(name, _)| *name == group), "{group}: add it to GROUPS");
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = serde_json::to_value(openapi_document(ENDPOINTS)).unwrap();
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
        let text = document.to_string();
        let mut references = 0;
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name} is referenced but not defined");
            references += 1;
        }
        assert!(references > 100, "{references}");
        // One path item contains all methods of a path.
        assert!(document["paths"]["/api/v3/time"]["get"].is_object());
        assert_eq!(
            document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum::<usize>(),
            ENDPOINTS.len()
        );
    }
}
