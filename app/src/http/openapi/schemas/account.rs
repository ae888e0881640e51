//! This module has the shapes of account and wallet replies.

use super::{Decimal, Timestamp};
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Account {
    /// Ten-thousandths.
    #[schema(example = 10)]
    pub maker_commission: i64,
    #[schema(example = 10)]
    pub taker_commission: i64,
    pub buyer_commission: i64,
    pub seller_commission: i64,
    pub commission_rates: CommissionRates,
    pub can_trade: bool,
    pub can_withdraw: bool,
    pub can_deposit: bool,
    pub brokered: bool,
    pub require_self_trade_prevention: bool,
    pub prevent_sor: bool,
    pub update_time: Timestamp,
    #[schema(example = "SPOT")]
    pub account_type: String,
    pub balances: Vec<Balance>,
    pub permissions: Vec<String>,
    pub uid: u64,
}

#[derive(ToSchema)]
pub struct CommissionRates {
    pub maker: Decimal,
    pub taker: Decimal,
    pub buyer: Decimal,
    pub seller: Decimal,
}

#[derive(ToSchema)]
pub struct Balance {
    #[schema(example = "BTC")]
    pub asset: String,
    pub free: Decimal,
    /// Locked by open orders.
    pub locked: Decimal,
}

/// Commission rates of the account on a symbol.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct AccountCommission {
    pub symbol: String,
    pub standard_commission: CommissionRates,
    pub special_commission: CommissionRates,
    pub tax_commission: CommissionRates,
    pub discount: Discount,
}

/// No discount exists.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Discount {
    pub enabled_for_account: bool,
    pub enabled_for_symbol: bool,
    pub discount_asset: String,
    pub discount: Decimal,
}

/// Commission rates that a tested order would pay (`computeCommissionRates=true`).
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct OrderCommission {
    pub standard_commission_for_order: OrderCommissionRates,
    pub special_commission_for_order: OrderCommissionRates,
    pub tax_commission_for_order: OrderCommissionRates,
    pub discount: Discount,
}

#[derive(ToSchema)]
pub struct OrderCommissionRates {
    pub maker: Decimal,
    pub taker: Decimal,
}

/// One side of a trade of the account.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct AccountTrade {
    pub symbol: String,
    pub id: u64,
    pub order_id: u64,
    #[schema(example = -1)]
    pub order_list_id: i64,
    pub price: Decimal,
    pub qty: Decimal,
    pub quote_qty: Decimal,
    /// Deducted from the received asset.
    pub commission: Decimal,
    pub commission_asset: String,
    pub time: Timestamp,
    pub is_buyer: bool,
    pub is_maker: bool,
    pub is_best_match: bool,
}

#[derive(ToSchema)]
pub struct SystemStatus {
    /// 0: normal.
    pub status: u32,
    #[schema(example = "normal")]
    pub msg: String,
}

/// An asset with the account's balance. Deposits and withdrawals are disabled on every network.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Coin {
    #[schema(example = "BTC")]
    pub coin: String,
    pub deposit_all_enable: bool,
    pub withdraw_all_enable: bool,
    pub name: String,
    pub free: Decimal,
    pub locked: Decimal,
    pub freeze: Decimal,
    pub withdrawing: Decimal,
    pub ipoing: Decimal,
    pub ipoable: Decimal,
    pub storage: Decimal,
    pub is_legal_money: bool,
    pub trading: bool,
    /// Always empty.
    pub network_list: Vec<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct TradeFee {
    pub symbol: String,
    pub maker_commission: Decimal,
    pub taker_commission: Decimal,
}

/// Always empty.
#[derive(ToSchema)]
pub struct NoSymbols {
    pub symbols: Vec<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ListenKey {
    /// Name of the stream: `/ws/<listenKey>`.
    pub listen_key: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct RequestedStatement {
    #[schema(example = "01939c1e-4f5a-7c3b-9d2e-6f1a2b3c4d5e")]
    pub statement_id: String,
}

/// A requested account statement.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Statement {
    pub statement_id: String,
    /// `pending`, `ready`, or `failed`: request a shorter period.
    #[schema(example = "ready")]
    pub status: String,
    /// Inclusive.
    pub start_time: Timestamp,
    /// Exclusive.
    pub end_time: Timestamp,
}

/// Anyone who has the link can read the file until it expires.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct StatementLink {
    pub statement_id: String,
    /// CSV.
    pub url: String,
    pub expiration_timestamp: Timestamp,
}
