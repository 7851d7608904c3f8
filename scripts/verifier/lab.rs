#![allow(dead_code)]
mod config { #[derive(Clone,Copy,Debug,PartialEq,Eq)] pub enum Strictness{Strict,Balanced,Off} }
#[path="REPO/src/semantic/verify/mod.rs"] mod verify;
use verify::*;
use std::{fs,io::{Read,Write}};
use serde_json::Value;
const D:&str="data";
fn stream(model:&str,name:&str,cuts:&[(f32,f32)],dump:Option<&str>,strict:config::Strictness)->Vec<(f32,f32)>{
  let texts:Vec<String>=fs::read_to_string(format!("{D}/stream_{model}_{name}.jsonl")).unwrap().lines().map(|l|serde_json::from_str(l).unwrap()).collect();
  let mut buf=vec![];fs::File::open(format!("{D}/near_{model}_{name}.bin")).unwrap().read_to_end(&mut buf).unwrap();
  let u=|o:usize|u32::from_le_bytes(buf[o..o+4].try_into().unwrap());
  let mut near:Vec<Vec<(usize,f32)>>=vec![];let mut o=0;
  while o<buf.len(){let k=u(o) as usize;o+=4;near.push((0..k).map(|i|(u(o+4*i) as usize,f32::from_bits(u(o+4*k+4*i)))).collect());o+=8*k;}
  let reads:Vec<Reading>=texts.iter().map(|t|Reading::of(t)).collect();
  let mut memo:Vec<ahash::AHashMap<usize,(Option<Rule>,f32)>>=vec![Default::default();texts.len()];
  let req:Vec<(usize,String)>=fs::read_to_string(format!("{D}/req_{name}.jsonl")).unwrap().lines().map(|l|{let v:Value=serde_json::from_str(l).unwrap();(v[0].as_u64().unwrap() as usize,v[1].as_str().unwrap().to_string())}).collect();
  let mut out=vec![];
  for &(t,p) in cuts{
    let mut store:ahash::AHashMap<usize,&str>=Default::default();let (mut r,mut w)=(0,0);let mut f=dump.map(|d|fs::File::create(d).unwrap());
    for (i,c) in &req{
      if let Some(s)=store.get(i){ if s==c {r+=1} else {w+=1; if let Some(f)=&mut f {writeln!(f,"EXACT\t{}",texts[*i]).unwrap();}} continue}
      let mut hit=None;
      for (j,cos) in near[*i].iter().filter(|(j,_)|store.contains_key(j)).take(5){
        if *cos<t {break}
        let (rule,pp)= if strict==config::Strictness::Off {(None,1.0)} else {*memo[*i].entry(*j).or_insert_with(||{let (_,r,p)=measure(&Near{asked:&reads[*i],stored:&reads[*j],cosine:*cos,gap:None});(r,p)})};
        if rule.is_none()&&pp>=p {hit=Some((*j,*cos,pp));break}
        else if let Some(f)=&mut f { if store[j]==c.as_str() {writeln!(f,"MISSED\t{:?}\t{:.3}\t{:.3}\t{}\t||\t{}",rule,cos,pp,texts[*i],texts[*j]).unwrap();}}
      }
      match hit{Some((j,cos,pp))=>{ if store[&j]==c.as_str(){r+=1}else{w+=1;if let Some(f)=&mut f{writeln!(f,"WRONG\t{cos:.3}\t{pp:.3}\t{}\t||\t{}",texts[*i],texts[j]).unwrap();}}}
        None=>{store.insert(*i,c);}}
    }
    out.push((100.*r as f32/req.len() as f32,100.*w as f32/req.len() as f32));
  }
  out}
fn main(){
  let a:Vec<String>=std::env::args().collect();
  match a[1].as_str(){
   "stream"=>{ let model=&a[2]; let ts:Vec<f32>=a[3].split(',').map(|x|x.parse().unwrap()).collect(); let ps:Vec<f32>=a[4].split(',').map(|x|x.parse().unwrap()).collect();
     let names=if a.len()>5 {vec![a[5].as_str()]} else {vec!["bitext_support_en","qqp_en","parakqc_ko","banking77_en"]};
     let cuts:Vec<(f32,f32)>=ts.iter().flat_map(|t|ps.iter().map(move|p|(*t,*p))).collect();
     let res:Vec<_>=names.iter().map(|n|stream(model,n,&cuts,None,config::Strictness::Strict)).collect();
     print!("t    p    ");for n in &names{print!("{n:>20}")}println!();
     for (k,(t,p)) in cuts.iter().enumerate(){print!("{t:.2} {p:.2} ");for r in &res{print!("{:>14.2}/{:.2}",r[k].0,r[k].1)}println!();}
   }
   "dump"=>{let r=stream(&a[2],&a[5],&[(a[3].parse().unwrap(),a[4].parse().unwrap())],Some(&a[6]),config::Strictness::Strict);println!("{r:?}");}
   "feat"=>{ // in: jsonl a,b,cos -> csv features + rule
     let mut o=std::io::BufWriter::new(fs::File::create(&a[3]).unwrap());
     for l in fs::read_to_string(&a[2]).unwrap().lines(){let v:Value=serde_json::from_str(l).unwrap();
       let (x,y)=(Reading::of(v["a"].as_str().unwrap()),Reading::of(v["b"].as_str().unwrap()));
       let (f,r,p)=measure(&Near{asked:&x,stored:&y,cosine:v["cos"].as_f64().unwrap() as f32,gap:None});
       let f:Vec<String>=f.iter().map(|x|format!("{x:.5}")).collect();
       writeln!(o,"{}\t{}\t{:.4}",f.join("\t"),r.map_or("-",|r|r.word()),p).unwrap();}
   }
   "sfeat"=>{ // model name out: i j cos rule feats for all near pairs cos>=0.7 (i<-j)
     let (model,name)=(&a[2],&a[3]);
     let texts:Vec<String>=fs::read_to_string(format!("{D}/stream_{model}_{name}.jsonl")).unwrap().lines().map(|l|serde_json::from_str(l).unwrap()).collect();
     let mut buf=vec![];fs::File::open(format!("{D}/near_{model}_{name}.bin")).unwrap().read_to_end(&mut buf).unwrap();
     let u=|o:usize|u32::from_le_bytes(buf[o..o+4].try_into().unwrap());
     let reads:Vec<Reading>=texts.iter().map(|t|Reading::of(t)).collect();
     let mut o=0;let mut i=0;let mut w=std::io::BufWriter::new(fs::File::create(&a[4]).unwrap());
     while o<buf.len(){let k=u(o) as usize;o+=4;for q in 0..k{let j=u(o+4*q) as usize;let c=f32::from_bits(u(o+4*k+4*q)); if c<0.7{break}
        let (f,r,_)=measure(&Near{asked:&reads[i],stored:&reads[j],cosine:c,gap:None});
        let mut rec=vec![i as f32,j as f32,r.is_some() as u8 as f32];rec.extend(f);
        for v in rec{w.write_all(&v.to_le_bytes()).unwrap();}} o+=8*k;i+=1;}
   }
   "names"=>println!("{}",NAMES.join(" ")),
   "show"=>{for t in &a[2..]{println!("{:#?}",Reading::of(t));}}
   "judge"=>{let (x,y)=(Reading::of(&a[2]),Reading::of(&a[3]));println!("{:?}",measure(&Near{asked:&x,stored:&y,cosine:a[4].parse().unwrap(),gap:None}));}
   "bench"=>{ let n="parakqc_ko";let m=a.get(2).map_or(n,|s|s.as_str());let t:Vec<String>=fs::read_to_string(format!("{D}/stream_use_{m}.jsonl")).unwrap().lines().take(2000).map(|l|serde_json::from_str(l).unwrap()).collect();
     let r:Vec<Reading>=t.iter().map(|x|Reading::of(x)).collect();
     let mut d=vec![];for x in &t{let s=std::time::Instant::now();let q=Reading::of(x);std::hint::black_box(&q);d.push(s.elapsed().as_nanos());}d.sort();
     let mut e=vec![];for i in 0..r.len(){let j=(i*7+1)%r.len();let s=std::time::Instant::now();std::hint::black_box(judge(&Near{asked:&r[i],stored:&r[j],cosine:0.9,gap:None},config::Strictness::Strict));e.push(s.elapsed().as_nanos());}e.sort();
     println!("read p50 {} p99 {} ns; judge p50 {} p99 {} ns; bytes {}",d[d.len()/2],d[d.len()*99/100],e[e.len()/2],e[e.len()*99/100],r.iter().map(|x|x.bytes()).sum::<usize>()/r.len());}
   _=>{}}
}
