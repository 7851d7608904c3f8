# training pairs from streams: nearest neighbours
import json,struct,numpy as np,random,sys
random.seed(7)
D='data/'
for m in ('use','minilm'):
    for n in ('bitext_support_en','parakqc_ko','banking77_en'):
        if m=='minilm' and n=='parakqc_ko': continue
        T=[json.loads(l) for l in open(f'{D}stream_{m}_{n}.jsonl')]
        cls={}
        for l in open(f'{D}req_{n}.jsonl'):
            i,c,k=json.loads(l); cls[i]=c
        buf=np.fromfile(f'{D}near_{m}_{n}.bin',dtype=np.uint32); o=0; i=0
        out=open(f'{D}train_{m}_{n}.jsonl','w'); cnt=[0,0]; seen=set()
        while o<len(buf):
            k=int(buf[o]); idx=buf[o+1:o+1+k]; cos=buf[o+1+k:o+1+2*k].view(np.float32); o+=1+2*k
            kept=0
            for j,c in zip(idx,cos):
                j=int(j)
                if c<0.66 or kept>=12: break
                a,b=min(i,j),max(i,j)
                if (a,b) in seen: continue
                if cls[i].startswith('qqp') or cls[j].startswith('qqp'): continue
                seen.add((a,b)); kept+=1
                y=int(cls[i]==cls[j]); cnt[y]+=1
                out.write(json.dumps({'a':T[i],'b':T[j],'cos':round(float(c),5),'label':y,'g':cls[i]},ensure_ascii=False)+'\n')
            i+=1
        print(m,n,cnt)
