//! Flight SQL, read-only: any ADBC or JDBC tool connects, lists what there is, and runs statements.
//!
//! A statement's handle, prepared or not, is its text: the server keeps nothing between calls, so that a client that
//! vanishes leaves nothing behind. There are no parameters and no transactions.

mod convert;
mod metadata;

use std::pin::Pin;

use anyhow::Context;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo,
    CommandGetTableTypes, CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery,
    CommandStatementUpdate, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo, Ticket};
use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt, TryStreamExt};
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::gate::Rows;
use super::{Gate, Token};
use convert::{info, ipc_schema, status_of, text};

type FlightStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// Answers until the listener fails.
pub(super) async fn serve(listener: TcpListener, gate: Gate, token: Token) -> anyhow::Result<()> {
    let let_in = move |request: Request<()>| {
        let authorization = request.metadata().get("authorization").map(|value| value.as_bytes().to_vec());
        match token.lets_in(authorization.as_deref()) {
            true => Ok(request),
            false => Err(Status::unauthenticated("send the header authorization: Bearer TOKEN")),
        }
    };
    let service = FlightServiceServer::with_interceptor(LakeFlight { gate }, let_in);
    tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .context("can't serve Flight SQL")
}

/// The service.
#[derive(Clone, Debug)]
struct LakeFlight {
    gate: Gate,
}

impl LakeFlight {
    async fn columns(&self, sql: String) -> Result<SchemaRef, Status> {
        let planned =
            self.gate.ask(|engine| async move { engine.plan(&sql).await.map(|planned| planned.schema()) });
        planned.await.map_err(|error| status_of(&error))
    }

    async fn rows(&self, handle: &[u8]) -> Result<Response<FlightStream>, Status> {
        let rows = self.gate.stream(text(handle)?).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(encoded(rows)))
    }
}

/// The rows as messages. The stream holds the query's task: dropped with it, the query ends.
fn encoded(rows: Rows) -> FlightStream {
    let schema = rows.schema.clone();
    let batches = futures::stream::unfold(rows, |mut open| async move {
        let item = open.batches.recv().await?;
        Some((item.map_err(|error| FlightError::from(status_of(&error))), open))
    });
    let messages = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
    messages.map_err(Status::from).boxed()
}

fn one_batch(batch: RecordBatch) -> Response<FlightStream> {
    let schema = batch.schema();
    let batches = futures::stream::iter([Ok(batch)]);
    let messages = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
    Response::new(messages.map_err(Status::from).boxed())
}

#[tonic::async_trait]
impl FlightSqlService for LakeFlight {
    type FlightService = Self;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let columns = self.columns(query.query.clone()).await?;
        let ticket = TicketStatementQuery { statement_handle: Bytes::from(query.query) };
        info(&columns, ticket.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        _request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.rows(&ticket.statement_handle).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let columns = self.columns(query.query.clone()).await?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: Bytes::from(query.query),
            dataset_schema: ipc_schema(&columns)?,
            parameter_schema: Bytes::new(),
        })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let columns = self.columns(text(&query.prepared_statement_handle)?).await?;
        info(&columns, query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        _request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.rows(&query.prepared_statement_handle).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        _query: ActionClosePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// There is nothing to update; the plan says so, as it does for every way in.
    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        _request: Request<arrow_flight::sql::server::PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.columns(command.query).await?;
        Err(Status::invalid_argument("the statement is a query: execute it as one"))
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        _request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        Ok(one_batch(metadata::catalogs(query)?))
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        _request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        Ok(one_batch(metadata::schemas(&self.gate, query).await?))
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        _request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        Ok(one_batch(metadata::tables(&self.gate, query).await?))
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        _request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        Ok(one_batch(metadata::table_types(query)?))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = query.as_any().encode_to_vec();
        info(&metadata::sql_info(query)?.schema(), ticket, request.into_inner())
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        _request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        Ok(one_batch(metadata::sql_info(query)?))
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
