//! This module splits an alert's expression into the query to draw and the threshold. It is pure.
//!
//! Comparisons of PromQL filter: `latency > 2` has no points below 2. So the left side is drawn, and the number becomes a line.
//!
//! Grammar: <https://prometheus.io/docs/prometheus/latest/querying/operators/>.

use promql_parser::parser::{BinaryExpr, Expr, token};

/// The query, and the line to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    pub query: String,
    pub threshold: Option<Threshold>,
}

/// The alert fires beyond this value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    pub value: f64,
    /// Operator between the query and the number: `>`, `>=`, `<`, `<=`, `==`, `!=`.
    pub operator: &'static str,
}

/// An unparsable expression is returned unchanged, so that Prometheus reports its fault.
pub fn drawn(expression: &str) -> Drawn {
    let whole = || Drawn { query: expression.to_owned(), threshold: None };
    match promql_parser::parser::parse(expression) {
        Ok(parsed) => compared(&parsed).unwrap_or_else(whole),
        Err(_) => whole(),
    }
}

fn compared(expression: &Expr) -> Option<Drawn> {
    match expression {
        Expr::Paren(inner) => compared(&inner.expr),
        Expr::Binary(binary) if matches!(binary.op.id(), token::T_LAND | token::T_LUNLESS) => compared(&binary.lhs),
        Expr::Binary(binary) => against_a_number(binary),
        _ => None,
    }
}

fn against_a_number(binary: &BinaryExpr) -> Option<Drawn> {
    let (operator, mirrored) = match binary.op.id() {
        token::T_GTR => (">", "<"),
        token::T_GTE => (">=", "<="),
        token::T_LSS => ("<", ">"),
        token::T_LTE => ("<=", ">="),
        token::T_EQLC => ("==", "=="),
        token::T_NEQ => ("!=", "!="),
        _ => return None,
    };
    let drawn =
        |query: &Expr, value, operator| Drawn { query: query.to_string(), threshold: Some(Threshold { value, operator }) };
    match (number(&binary.lhs), number(&binary.rhs)) {
        (None, Some(value)) => Some(drawn(&binary.lhs, value, operator)),
        (Some(value), None) => Some(drawn(&binary.rhs, value, mirrored)),
        _ => None,
    }
}

/// A number as people write one: with a sign, in brackets, or as a small sum (`5 * 60`).
fn number(expression: &Expr) -> Option<f64> {
    match expression {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Paren(inner) => number(&inner.expr),
        Expr::Unary(inner) => number(&inner.expr).map(|value| -value),
        Expr::Binary(binary) => {
            let (left, right) = (number(&binary.lhs)?, number(&binary.rhs)?);
            match binary.op.id() {
                token::T_ADD => Some(left + right),
                token::T_SUB => Some(left - right),
                token::T_MUL => Some(left * right),
                token::T_DIV => Some(left / right),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_is_drawn_and_the_number_is_the_line() {
        for (expression, query, value, operator) in [
            ("up == 0", "up", 0.0, "=="),
            ("0.5 < rate(errors[5m])", "rate(errors[5m])", 0.5, ">"),
            ("(sum by (job) (rate(a[5m]))) > 5 * 60", "(sum by (job) (rate(a[5m])))", 300.0, ">"),
            ("(queue_depth >= 10) and on () (leader == 1)", "queue_depth", 10.0, ">="),
            ("temperature < -(5)", "temperature", -5.0, "<"),
        ] {
            let expected = Drawn { query: query.into(), threshold: Some(Threshold { value, operator }) };
            assert_eq!(drawn(expression), expected, "{expression}");
        }
    }

    #[test]
    fn everything_else_is_drawn_as_it_is() {
        for expression in ["up", "a > b", "absent(up)", "rate(a[5m]) / rate(b[5m])", "1 > 2", "no promql (", ""] {
            assert_eq!(drawn(expression), Drawn { query: expression.into(), threshold: None });
        }
    }
}
