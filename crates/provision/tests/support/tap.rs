//! A wire that remembers what the client said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

pub struct Tap {
    pub address: SocketAddr,
    pub said: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// Between whoever connects and this machine.
    pub async fn before(machine: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let record = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(machine).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&record)));
            }
        });
        Self { address, said }
    }

    pub fn said(&self) -> Vec<u8> {
        self.said.lock().unwrap().clone()
    }
}

async fn carry(client: TcpStream, server: TcpStream, said: Arc<Mutex<Vec<u8>>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            said.lock().unwrap().extend_from_slice(&buffer[..read]);
            if to_server.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let back = async {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::join!(there, back);
}
