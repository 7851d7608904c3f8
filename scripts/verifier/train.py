import os
import json,numpy as np,sys
from sklearn.ensemble import HistGradientBoostingClassifier as H
import subprocess
NAMES=subprocess.run(['target/release/lab','names'],capture_output=True,text=True).stdout.split()
MONO={'cosine':1,'grams':1,'overlap':1,'left_most':-1,'left_least':-1,'word_most':-1,'word_least':-1,'count_most':-1,'count_least':-1,'length_ratio':0,'length_least':0,'guessed':-1,'turned':-1,'kept':1,'kind':-1,'denial':-1,'trouble':-1,'slots':0,'either':-1,'hangul':0,'names_most':-1,'names_least':-1,'little':1,'scrambled':-1}
MONO.update({'replaced':-1,'noun_most':-1,'noun_least':-1,'synonyms':0,'frames':1})
def load(pairs,feats,src,skip_rule=True):
    P=[json.loads(l) for l in open(pairs)]; F=[l.rstrip('\n').split('\t') for l in open(feats)]
    X=[];y=[];g=[]
    for p,f in zip(P,F):
        if p['cos']<0.62 or (skip_rule and f[-2] not in('-',)): continue
        X.append([float(v) for v in f[:-2]]); y.append(p['label']); g.append(p.get('g') or p['a'])
    return np.array(X).reshape(-1,len(NAMES)),np.array(y),g
S={}
for m,n in (('use','bitext_support_en'),('use','parakqc_ko'),('use','banking77_en'),('minilm','bitext_support_en'),('minilm','banking77_en')):
    S[f's_{m}_{n}']=load(f'data/train_{m}_{n}.jsonl',f'data/t_{m}_{n}.tsv',n)
for n in ('parakqc_ko','pawsx_en','pawsx_ko','korsts_ko','question_pair_ko','qqp_en','paws_qqp_en'):
    S[f'p_use_{n}']=load(f'data/pairs_use_{n}.jsonl',f'data/f_use_{n}.tsv',n)
# weights: share each source gets (neg,pos)
W={'s_use_bitext_support_en':(6,3),'s_use_parakqc_ko':(4,4),'s_use_banking77_en':(3,1.5),'s_minilm_bitext_support_en':(2,1),'s_minilm_banking77_en':(1,.5),
   'p_use_parakqc_ko':(.5,1),'p_use_pawsx_en':(1,.8),'p_use_pawsx_ko':(.5,.5),'p_use_korsts_ko':(.6,.6),'p_use_question_pair_ko':(1,1.2)}
try:
    S['p_own']=load('data/own.jsonl','data/own.tsv','own'); W['p_own']=(4,4)
except FileNotFoundError: pass
def stack(keys,pick=None):
    X=[];y=[];w=[]
    for k in keys:
        x,yy,g=S[k]
        if pick is not None:
            import zlib
            sel=np.array([(zlib.crc32(v.encode())&1)==pick for v in g]) if len(g) else np.zeros(0,bool); x,yy=x[sel],yy[sel]
        if not len(yy): continue
        ww=np.zeros(len(yy))
        for c in (0,1):
            n=(yy==c).sum(); ww[yy==c]=W[k][c]/max(n,1) 
        X.append(x);y.append(yy);w.append(ww)
    w=np.concatenate(w); return np.concatenate(X),np.concatenate(y),w/w.mean()
def fit(keys,pick=None,trees=120,leaves=12,lr=.08):
    X,y,w=stack(keys,pick)
    m=H(max_iter=trees,learning_rate=lr,max_leaf_nodes=leaves,min_samples_leaf=60,l2_regularization=5,monotonic_cst=[MONO.get(n,0) for n in NAMES],random_state=17,early_stopping=False)
    m.fit(X,y,sample_weight=w); return m
def export(m,path,head):
    out=[head,f'bias {float(m._baseline_prediction.ravel()[0]):.4f}']
    for (t,) in m._predictors:
        N=t.nodes
        def walk(i):
            n=N[i]
            if n['is_leaf']: return f"= {n['value']:.4f}"
            return f"{NAMES[n['feature_idx']]} {n['num_threshold']:.5g} {walk(n['left'])} {walk(n['right'])}"
        out.append('tree '+walk(0))
    open(path,'w').write('\n'.join(out)+'\n')
def report(m,keys,pick=None):
    from sklearn.metrics import roc_auc_score
    import zlib
    for k in keys:
        x,y,g=S[k]
        if pick is not None:
            sel=np.array([(zlib.crc32(v.encode())&1)==pick for v in g]); x,y=x[sel],y[sel]
        if len(set(y))<2: continue
        p=m.predict_proba(x)[:,1]
        o=np.argsort(-p); yy=y[o]; prec=np.cumsum(yy)/np.arange(1,len(yy)+1); rec=np.cumsum(yy)/yy.sum()
        r=[rec[prec>=q].max() if (prec>=q).any() else 0 for q in (.9,.95,.98)]
        print(f'  {k:28} n {len(y):6} auc {roc_auc_score(y,p):.3f} cos-auc {roc_auc_score(y,x[:,0]):.3f} recall@prec.9/.95/.98 {r[0]:.2f} {r[1]:.2f} {r[2]:.2f}')
HEAD='# P(one answer serves both): gradient-boosted trees, see models/verifier-score.md'
if __name__=='__main__':
    mode=sys.argv[1]; out=sys.argv[2] if len(sys.argv)>2 else os.environ['REPO']+'/models/verifier-score.txt'
    keys=list(W) if 'p_own' in S else [k for k in W if k!='p_own']
    if mode=='all':
        m=fit(keys); export(m,out,HEAD); report(m,S)
    elif mode=='half':   # train on half the classes, test other half
        m=fit(keys,0); export(m,out,HEAD); report(m,keys,1)
    elif mode.startswith('-'):  # leave out
        ks=[k for k in keys if mode[1:] not in k]; m=fit(ks); export(m,out,HEAD); report(m,S)
