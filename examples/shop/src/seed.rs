//! The data set, the same in every run.

use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Sqlite, Transaction};

/// Rows an `INSERT` carries: large enough that its cost is the rows', far below SQLite's 32,766 values.
const ROWS: usize = 1_000;

/// The seeded orders' years, the first and the last.
const YEARS: (i64, i64) = (2021, 2025);

/// How much the shop holds.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Products, and twice as many reviews.
    pub products: i64,
    /// Customers.
    pub customers: i64,
    /// Orders, of one to four lines.
    pub orders: i64,
}

impl Scale {
    /// What the shop runs with.
    pub const FULL: Scale = Scale {
        products: 10_000,
        customers: 2_000,
        orders: 100_000,
    };
}

/// Fills the empty tables.
pub(crate) async fn fill(
    transaction: &mut Transaction<'_, Sqlite>,
    scale: Scale,
) -> sqlx::Result<()> {
    let mut random = SplitMix(0x5107);
    settings(transaction).await?;
    customers(transaction, scale, &mut random).await?;
    let prices = products(transaction, scale, &mut random).await?;
    reviews(transaction, scale, &mut random).await?;
    orders(transaction, scale, &prices, &mut random).await
}

async fn settings(transaction: &mut Transaction<'_, Sqlite>) -> sqlx::Result<()> {
    let mut rows: Vec<(String, i64)> = DISCOUNT
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    for (index, (country, _, tax)) in (0_i64..).zip(COUNTRIES) {
        rows.push((format!("tax.{country}"), *tax));
        rows.push((format!("shipping.cents.{country}"), 495 + 100 * (index % 7)));
        rows.push((
            format!("shipping.free_from.{country}"),
            10_000 + 1_000 * (index % 7),
        ));
    }
    insert(transaction, "settings", rows, |row, (name, value)| {
        row.push_bind(name).push_bind(value);
    })
    .await
}

async fn customers(
    transaction: &mut Transaction<'_, Sqlite>,
    scale: Scale,
    random: &mut SplitMix,
) -> sqlx::Result<()> {
    let rows = (1..=scale.customers).map(|id| {
        let (first, last) = (random.pick(FIRST_NAMES), random.pick(LAST_NAMES));
        (id, first, last, random.pick(COUNTRIES))
    });
    insert(
        transaction,
        "customers",
        rows.collect(),
        |row, (id, first, last, (country, region, _))| {
            let email = format!("{first}.{last}{id}@example.com").to_lowercase();
            row.push_bind(id)
                .push_bind(format!("{first} {last}"))
                .push_bind(email);
            row.push_bind(country).push_bind(region);
        },
    )
    .await
}

/// Answers the products' prices in cents, the first product's first.
async fn products(
    transaction: &mut Transaction<'_, Sqlite>,
    scale: Scale,
    random: &mut SplitMix,
) -> sqlx::Result<Vec<i64>> {
    let rows: Vec<_> = (1..=scale.products)
        .map(|id| {
            let (style, material) = (random.pick(STYLES), random.pick(MATERIALS));
            (
                id,
                style,
                material,
                random.pick(KINDS),
                random.range(500, 45_000),
            )
        })
        .collect();
    let prices = rows.iter().map(|row| row.4).collect();
    insert(transaction, "products", rows, |row, (id, style, material, (kind, category), price_cents)| {
        let description = format!(
            "A {} {kind} made of {material}, for homes and offices alike. Delivered assembled, with two years of warranty.",
            style.to_lowercase()
        );
        row.push_bind(id).push_bind(format!("{}-{id:05}", kind[..3].to_uppercase()));
        row.push_bind(format!("{style} {material} {kind}")).push_bind(category);
        row.push_bind(description).push_bind(price_cents).push_bind(1_000 + id % 4_000);
    })
    .await?;
    Ok(prices)
}

async fn reviews(
    transaction: &mut Transaction<'_, Sqlite>,
    scale: Scale,
    random: &mut SplitMix,
) -> sqlx::Result<()> {
    let rows = (1..=2 * scale.products).map(|id| {
        let (product, rating) = (random.range(1, scale.products), random.range(0, 4));
        (id, product, random.pick(FIRST_NAMES), rating)
    });
    insert(
        transaction,
        "reviews",
        rows.collect(),
        |row, (id, product, author, rating)| {
            row.push_bind(id).push_bind(product).push_bind(author);
            row.push_bind(rating + 1)
                .push_bind(OPINIONS[rating as usize]);
        },
    )
    .await
}

async fn orders(
    transaction: &mut Transaction<'_, Sqlite>,
    scale: Scale,
    prices: &[i64],
    random: &mut SplitMix,
) -> sqlx::Result<()> {
    let days: i64 = (YEARS.0..=YEARS.1).map(days_in_year).sum();
    let (mut orders, mut lines) = (Vec::new(), Vec::new());
    for id in 1..=scale.orders {
        let mut total_cents = 0;
        for position in 1..=random.range(1, 4) {
            let (product, quantity) = (random.range(1, scale.products), random.range(1, 3));
            let unit_cents = prices[product as usize - 1];
            total_cents += quantity * unit_cents;
            lines.push((id, position, product, quantity, unit_cents));
        }
        orders.push((
            id,
            random.range(1, scale.customers),
            random.pick(STATES),
            total_cents,
        ));
    }
    insert(
        transaction,
        "orders",
        orders,
        |row, (id, customer, status, total_cents)| {
            let placed_on = date((id - 1) * days / scale.orders);
            row.push_bind(id).push_bind(customer).push_bind(placed_on);
            row.push_bind(status).push_bind(total_cents);
        },
    )
    .await?;
    insert(
        transaction,
        "order_lines",
        lines,
        |row, (order, position, product, quantity, unit)| {
            row.push_bind(order).push_bind(position).push_bind(product);
            row.push_bind(quantity).push_bind(unit);
        },
    )
    .await
}

async fn insert<T>(
    transaction: &mut Transaction<'_, Sqlite>,
    table: &'static str,
    rows: Vec<T>,
    mut bind: impl FnMut(&mut Separated<'_, Sqlite, &'static str>, T),
) -> sqlx::Result<()> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO ");
        insert.push(table).push(" ");
        insert.push_values(rows.by_ref().take(ROWS), |mut row, values| {
            bind(&mut row, values)
        });
        insert.build().execute(&mut **transaction).await?;
    }
    Ok(())
}

/// The day `index` days after the first of the first year, as `YYYY-MM-DD`.
fn date(index: i64) -> String {
    let (mut year, mut day) = (YEARS.0, index);
    while day >= days_in_year(year) {
        day -= days_in_year(year);
        year += 1;
    }
    let february = days_in_year(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", day + 1)
}

/// In the years of the seed, every fourth is a leap year.
fn days_in_year(year: i64) -> i64 {
    if year % 4 == 0 { 366 } else { 365 }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `first` to `last`; both count.
    fn range(&mut self, first: i64, last: i64) -> i64 {
        first + (self.next() % (last - first + 1) as u64) as i64
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.next() % of.len() as u64) as usize]
    }
}

const STYLES: &[&str] = &[
    "Classic", "Modern", "Rustic", "Nordic", "Compact", "Folding", "Vintage", "Slim", "Sturdy",
    "Light",
];

const MATERIALS: &[&str] = &[
    "oak", "steel", "linen", "glass", "walnut", "bamboo", "copper", "ceramic", "marble", "felt",
    "cork", "rattan",
];

/// Kinds of product, with their categories.
const KINDS: &[(&str, &str)] = &[
    ("chair", "Seating"),
    ("stool", "Seating"),
    ("bench", "Seating"),
    ("sofa", "Seating"),
    ("table", "Tables"),
    ("desk", "Tables"),
    ("shelf", "Storage"),
    ("cabinet", "Storage"),
    ("basket", "Storage"),
    ("rack", "Storage"),
    ("lamp", "Lighting"),
    ("lantern", "Lighting"),
    ("mug", "Kitchen"),
    ("bowl", "Kitchen"),
    ("tray", "Kitchen"),
    ("carafe", "Kitchen"),
    ("mirror", "Decoration"),
    ("vase", "Decoration"),
    ("frame", "Decoration"),
    ("clock", "Decoration"),
];

const OPINIONS: &[&str] = &[
    "Arrived with a scratch, and nobody answered my two messages about it. It went back.",
    "Smaller than it looks in the pictures. It does what it should, but only just.",
    "Decent for the money. The finish could be better at the edges, the rest is solid.",
    "Good quality, quick delivery. One screw was missing and came by post two days later.",
    "Exactly what I was looking for. It looks even better than in the pictures, and it is sturdy.",
];

const STATES: &[&str] = &[
    "shipped",
    "shipped",
    "shipped",
    "shipped",
    "returned",
    "cancelled",
];

const FIRST_NAMES: &[&str] = &[
    "Ada", "Bruno", "Clara", "Dario", "Elif", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Katya",
    "Leon", "Mira", "Nils", "Olga", "Pablo", "Rosa", "Sven", "Tilda", "Yusuf",
];

const LAST_NAMES: &[&str] = &[
    "Almeida",
    "Berg",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Horvat",
    "Ivanova",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Novak",
    "O'Brien",
    "Papadakis",
    "Rossi",
    "Schmidt",
    "Toth",
    "Weber",
];

/// Countries with their regions and value added tax in hundredths of a percent.
const COUNTRIES: &[(&str, &str, i64)] = &[
    ("AT", "Central", 2_000),
    ("BE", "West", 2_100),
    ("BG", "East", 2_000),
    ("CY", "South", 1_900),
    ("CZ", "Central", 2_100),
    ("DE", "Central", 1_900),
    ("DK", "North", 2_500),
    ("EE", "North", 2_400),
    ("ES", "South", 2_100),
    ("FI", "North", 2_550),
    ("FR", "West", 2_000),
    ("GR", "South", 2_400),
    ("HR", "East", 2_500),
    ("HU", "East", 2_700),
    ("IE", "West", 2_300),
    ("IT", "South", 2_200),
    ("LT", "North", 2_100),
    ("LU", "West", 1_700),
    ("LV", "North", 2_100),
    ("MT", "South", 1_800),
    ("NL", "West", 2_100),
    ("PL", "Central", 2_300),
    ("PT", "South", 2_300),
    ("RO", "East", 2_100),
    ("SE", "North", 2_500),
    ("SI", "Central", 2_200),
    ("SK", "Central", 2_300),
];

/// Five percent off from three pieces on.
const DISCOUNT: [(&str, i64); 2] = [("discount.from_quantity", 3), ("discount.rate", 500)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_through_the_leap_year() {
        let days = [0, 31, 58, 59, 364, 365, 3 * 365 + 59, 3 * 365 + 60, 5 * 365];
        assert_eq!(
            days.map(date),
            [
                "2021-01-01",
                "2021-02-01",
                "2021-02-28",
                "2021-03-01",
                "2021-12-31",
                "2022-01-01",
                "2024-02-29",
                "2024-03-01",
                "2025-12-31",
            ]
        );
    }

    #[test]
    fn the_random_numbers_are_the_published_ones() {
        let mut random = SplitMix(1_234_567);
        let numbers = [random.next(), random.next(), random.next()];
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }
}
