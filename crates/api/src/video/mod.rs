//! One video: what is shown of it in a list, and by itself.

mod answer;
mod detail;
mod gold;

pub use answer::{Video, VideoAction};
pub(crate) use detail::__path_get_video;
pub use detail::VideoDetail;
pub(crate) use detail::get_video;
pub(crate) use gold::GoldVideos;
