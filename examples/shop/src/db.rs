//! The database: a SQLite file, seeded when it is new.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tempfile::TempDir;

use crate::fixes::{Fix, Fixes};
use crate::seed::{self, Scale};

/// Enough for the requests in flight on a few cores, and few enough to keep each connection's cache warm.
const CONNECTIONS: u32 = 8;

/// More than the file: all connections read the same mapped pages, and none copies them into a cache of its own.
const MAPPED_BYTES: &str = "268435456";

/// Raised whenever the schema or the seed changes, so that an older `--data` folder is refused.
const VERSION: i64 = 1;
const SET_VERSION: &str = "PRAGMA user_version = 1";

const SCHEMA: &str = include_str!("schema.sql");

/// An open database.
#[derive(Debug)]
pub struct Storage {
    /// Connections to it.
    pub pool: SqlitePool,
    temporary: Option<TempDir>,
}

impl Storage {
    /// Opens the database in the folder `data`, or a new one in a temporary folder, and seeds it when it is new.
    ///
    /// # Errors
    /// The folder can't be written, or holds a database of another version.
    pub async fn open(data: Option<&Path>, scale: Scale, fixes: Fixes) -> anyhow::Result<Self> {
        let temporary = match data {
            Some(dir) => {
                std::fs::create_dir_all(dir).with_context(|| {
                    format!("failed to create the data folder {}", dir.display())
                })?;
                None
            }
            None => {
                Some(TempDir::with_prefix("shop-").context("failed to create a temporary folder")?)
            }
        };
        let dir = data
            .or(temporary.as_ref().map(TempDir::path))
            .unwrap_or(Path::new("."));
        let file = dir.join("shop.db");
        let pool = connect(&file)
            .await
            .with_context(|| format!("failed to open the database {}", file.display()))?;
        prepare(&pool, scale, fixes)
            .await
            .with_context(|| format!("failed to prepare the database {}", file.display()))?;
        Ok(Storage { pool, temporary })
    }

    /// Closes the connections, and removes the folder if it was temporary.
    ///
    /// # Errors
    /// The temporary folder can't be removed.
    pub async fn close(self) -> anyhow::Result<()> {
        self.pool.close().await;
        match self.temporary {
            Some(dir) => dir.close().context("failed to remove the temporary folder"),
            None => Ok(()),
        }
    }
}

async fn connect(file: &Path) -> sqlx::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        .pragma("mmap_size", MAPPED_BYTES);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(false);
    pool.connect_with(options).await
}

async fn prepare(pool: &SqlitePool, scale: Scale, fixes: Fixes) -> anyhow::Result<()> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(pool)
        .await?;
    match version {
        VERSION => {}
        0 => create(pool, scale).await?,
        other => anyhow::bail!(
            "it is of version {other}, this shop needs {VERSION}; remove it to seed a new one"
        ),
    }
    let index = if fixes.has(Fix::MissingIndex) {
        "CREATE INDEX IF NOT EXISTS reviews_by_product ON reviews (product_id)"
    } else {
        "DROP INDEX IF EXISTS reviews_by_product"
    };
    sqlx::query(index).execute(pool).await?;
    Ok(())
}

/// Creates and fills the tables in one transaction: a shop that is stopped meanwhile leaves an empty database.
async fn create(pool: &SqlitePool, scale: Scale) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    seed::fill(&mut transaction, scale).await?;
    sqlx::raw_sql(SET_VERSION)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}
