//! A migration of an SQLite database as an async step, fenced by the epoch: the database remembers the highest epoch it
//! has seen and refuses an older one. `cargo run --example async_steps -- VOLUME`
#![expect(clippy::print_stdout, reason = "an example has something to show")]

use std::error::Error;
use std::path::Path;

use bellwether::{Bootstrap, Outcome, Step, StepContext, StepError};
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// What each revision does to the schema.
const MIGRATIONS: [(&str, &str); 2] = [
    ("v1", "CREATE TABLE product (name TEXT NOT NULL, price REAL NOT NULL); INSERT INTO product VALUES ('tea', 2.5)"),
    ("v2", "ALTER TABLE product ADD COLUMN cents INTEGER; UPDATE product SET cents = CAST(price * 100 AS INTEGER)"),
];

/// The fence: one row with the highest epoch that has ever worked here.
const FENCE: &str = "CREATE TABLE IF NOT EXISTS fence (id INTEGER PRIMARY KEY CHECK (id = 0), epoch INTEGER NOT NULL);
                     INSERT OR IGNORE INTO fence VALUES (0, 0)";

/// Refuses an epoch that is over. In the transaction that does the work, so that nothing comes in between.
fn pass_fence(transaction: &Transaction<'_>, epoch: u64) -> Result<(), StepError> {
    transaction.execute_batch(FENCE)?;
    let passed = transaction.execute("UPDATE fence SET epoch = ?1 WHERE epoch <= ?1", [i64::try_from(epoch)?])?;
    if passed == 0 {
        let seen: i64 = transaction.query_row("SELECT epoch FROM fence", [], |row| row.get(0))?;
        return Err(StepError::failed(format!("epoch {epoch} is over: epoch {seen} has begun")));
    }
    Ok(())
}

fn migrate(database: &Path, epoch: u64, sql: &str) -> Result<(), StepError> {
    let mut connection = Connection::open(database)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    pass_fence(&transaction, epoch)?;
    transaction.execute_batch(sql)?;
    transaction.commit()?;
    Ok(())
}

/// SQLite blocks, so it runs on a blocking thread. The clone of the context keeps the run, and the guard, until it is done.
async fn migrate_step(context: StepContext, sql: &'static str) -> Result<(), StepError> {
    let worker = context.clone();
    let migrated = tokio::task::spawn_blocking(move || {
        println!("epoch {} migrates to {}", worker.epoch(), worker.revision());
        migrate(&worker.volume().join("shop.db"), worker.epoch(), sql)
    });
    migrated.await?
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let volume = std::env::args().nth(1).ok_or("usage: async_steps VOLUME")?;
    for (revision, sql) in MIGRATIONS {
        let migrate = Step::run("migrate", move |context| migrate_step(context, sql)).markers("migrating", "migrated");
        let outcome = Bootstrap::new(revision, &volume).step(migrate).build()?.run().await?;
        if outcome != Outcome::Ready {
            return Err(format!("not ready: {outcome:?}").into());
        }
        println!("{revision} is ready");
    }

    // A leader that slept through all that wakes up in the middle of its step. It comes too late.
    let database = Path::new(&volume).join("shop.db");
    match migrate(&database, 1, "DROP TABLE product") {
        Err(refusal) => println!("refused: {refusal}"),
        Ok(()) => return Err("an old epoch has dropped the products".into()),
    }
    let cents: i64 = Connection::open(&database)?.query_row("SELECT cents FROM product", [], |row| row.get(0))?;
    println!("tea costs {cents} cents");
    Ok(())
}
