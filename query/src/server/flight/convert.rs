//! Between queries and the words of Flight.

use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use bytes::Bytes;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use tonic::{Response, Status};

use crate::{ErrorCode, QueryError};

/// The one endpoint of a result: this server, by `ticket`.
pub(super) fn info(
    columns: &Schema,
    ticket: Vec<u8>,
    descriptor: FlightDescriptor,
) -> Result<Response<FlightInfo>, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo::new().try_with_schema(columns).map_err(|error| defect(&error))?;
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(descriptor)))
}

pub(super) fn ipc_schema(columns: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let message: Result<IpcMessage, ArrowError> = SchemaAsIpc::new(columns, &options).try_into();
    let IpcMessage(bytes) = message.map_err(|error| defect(&error))?;
    Ok(bytes)
}

/// A handle is the statement's text.
pub(super) fn text(handle: &[u8]) -> Result<String, Status> {
    let text = std::str::from_utf8(handle);
    text.map(ToOwned::to_owned).map_err(|_| Status::invalid_argument("this handle is not of this server"))
}

pub(super) fn defect(error: &ArrowError) -> Status {
    Status::internal(error.to_string())
}

/// The error as gRPC knows it; the message begins with the code that HTTP answers have.
pub(super) fn status_of(error: &QueryError) -> Status {
    let (code, name) = match error.code() {
        ErrorCode::BadSql => (tonic::Code::InvalidArgument, "bad_sql"),
        ErrorCode::BadRequest => (tonic::Code::InvalidArgument, "bad_request"),
        ErrorCode::ReadOnly => (tonic::Code::PermissionDenied, "read_only"),
        ErrorCode::Execution => (tonic::Code::InvalidArgument, "execution"),
        ErrorCode::Timeout => (tonic::Code::DeadlineExceeded, "timeout"),
        ErrorCode::Memory => (tonic::Code::ResourceExhausted, "memory"),
        ErrorCode::TooLarge => (tonic::Code::ResourceExhausted, "too_large"),
        ErrorCode::Busy => (tonic::Code::Unavailable, "busy"),
        ErrorCode::Unavailable => (tonic::Code::Unavailable, "unavailable"),
        ErrorCode::Internal => (tonic::Code::Internal, "internal"),
    };
    let place =
        error.position().map_or(String::new(), |at| format!(" (line {}, column {})", at.line, at.column));
    Status::new(code, format!("{name}: {error}{place}"))
}
