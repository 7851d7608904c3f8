import json,glob,os,sys,time
import numpy as np, onnxruntime as ort
from onnxruntime_extensions import get_library_path
D=os.environ['DATA']; O=os.environ['WORK']+'/data'
streams={os.path.basename(f)[:-6]:[json.loads(l) for l in open(f)] for f in glob.glob(D+'/streams/*.jsonl')}
pairs={os.path.basename(f)[:-6]:[json.loads(l) for l in open(f)] for f in glob.glob(D+'/pairs/*.jsonl')}
texts={}
for n,r in streams.items():
    for x in r: texts.setdefault(x['prompt'],len(texts))
for n,r in pairs.items():
    for x in r: texts.setdefault(x['a'],len(texts)); texts.setdefault(x['b'],len(texts))
T=list(texts)
print(len(T))
so=ort.SessionOptions(); so.intra_op_num_threads=1
so.register_custom_ops_library(get_library_path())
which=sys.argv[1]
t=time.time()
if which=='use':
    s=ort.InferenceSession(os.environ['MULTILINGUAL_ONNX'],so)
    out=[s.run(['outputs'],{'inputs':np.array([x],dtype=object)})[0][0] for x in T]
else:
    from tokenizers import Tokenizer
    tok=Tokenizer.from_file(os.environ['MINILM_TOKENIZER']); tok.no_padding(); tok.enable_truncation(256)
    s=ort.InferenceSession(os.environ['MINILM_ONNX'],so)
    names=[i.name for i in s.get_inputs()]
    out=[]
    for x in T:
        e=tok.encode(x); d={'input_ids':np.array([e.ids]),'attention_mask':np.array([e.attention_mask])}
        if 'token_type_ids' in names: d['token_type_ids']=np.zeros_like(d['input_ids'])
        o=s.run(None,d)[0]
        out.append(o[0].mean(0) if o.ndim==3 else o[0])
V=np.array(out,dtype=np.float32); V/=np.linalg.norm(V,axis=1,keepdims=True)
print(which,V.shape,time.time()-t)
np.save(f'{O}/{which}.npy',V)
for n,r in pairs.items():
    with open(f'{O}/pairs_{which}_{n}.jsonl','w') as f:
        for x in r:
            c=float(V[texts[x['a']]]@V[texts[x['b']]])
            f.write(json.dumps({'a':x['a'],'b':x['b'],'label':x['label'],'kind':x.get('kind',''),'cos':round(c,5)},ensure_ascii=False)+'\n')
for n,r in streams.items():
    u={}
    for x in r: u.setdefault(x['prompt'],len(u))
    U=list(u); M=V[[texts[p] for p in U]]
    with open(f'{O}/stream_{which}_{n}.jsonl','w') as f, open(f'{O}/near_{which}_{n}.bin','wb') as g:
        for p in U: f.write(json.dumps(p,ensure_ascii=False)+'\n')
        for i in range(0,len(U),500):
            S=M[i:i+500]@M.T
            for j in range(S.shape[0]):
                row=S[j]; row[i+j]=-1
                k=np.argsort(-row)[:600]; k=k[row[k]>=0.6]
                np.array([len(k)],dtype=np.uint32).tofile(g)
                k.astype(np.uint32).tofile(g); row[k].astype(np.float32).tofile(g)
    with open(f'{O}/req_{n}.jsonl','w') as f:
        for x in r: f.write(json.dumps([u[x['prompt']],x['class'],x['kind']],ensure_ascii=False)+'\n')
print('done',time.time()-t)
