//! One question over HTTP.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::serve::Answer;

const PATIENCE: Duration = Duration::from_secs(10);

/// Asks whoever listens there who it is.
pub(super) async fn ask(address: &str) -> Result<Answer, String> {
    let told = timeout(PATIENCE, exchange(address)).await.map_err(|_| "no answer".to_owned())?;
    let text = told.map_err(|error| error.to_string())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("no HTTP: {text:?}"))?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(head.lines().next().unwrap_or_default().to_owned());
    }
    serde_json::from_str(body).map_err(|error| format!("{error}: {body:?}"))
}

async fn exchange(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}
