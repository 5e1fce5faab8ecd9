//! temporary
use pulselake_decode::*; use pulselake_model::*;
fn main(){ let data=std::fs::read("/tmp/kuai.ndjson").unwrap(); let mut b=RawBatch::at(0,0);
 for (i,l) in data.split(|c|*c==b'\n').filter(|l|!l.is_empty()).enumerate(){ b.push(i as i64,None,l);}
 let d=EventDecoder::new(DecodeSettings::default()).decode(&b,0);
 let mut t=[0;6]; for e in &d.columns.event_type{t[*e as usize]+=1}
 println!("{} {} {:?} {} {:?} {:?}",d.events.num_rows(),d.invalid.num_rows(),t,d.columns.watch_time_ms.iter().sum::<i64>(),d.columns.event_timestamp_us.iter().min(),d.columns.event_timestamp_us.iter().max()); }
