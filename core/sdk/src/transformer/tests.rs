use tch::{Device, Kind, Tensor};

use super::*;

const F32: (Kind, Device) = (Kind::Float, Device::Cpu);

fn attention(variables: &nn::VarStore, width: i64, heads: i64) -> Result<SelfAttention, Error> {
    let root = variables.root();
    let paths = AttentionPaths { query: &root / "q", key: &root / "k", value: &root / "v", out: &root / "o" };
    SelfAttention::new(&paths, width, heads)
}

#[test]
fn masked_and_later_tokens_have_no_influence() {
    let variables = nn::VarStore::new(Device::Cpu);
    let attention = attention(&variables, 6, 2).unwrap();
    let x = Tensor::rand([1, 3, 6], F32) * 10.0;
    let changed = Tensor::cat(&[x.narrow(1, 0, 2), x.narrow(1, 2, 1) + 5.0], 1);
    let mask = hiding(&Tensor::from_slice(&[1i64, 1, 0]).view([1, 3]), &x).unwrap();
    for mask in [mask, causal(3, &x).unwrap()] {
        let [before, after] = [&x, &changed].map(|x| attention.forward(x, Some(&mask)).unwrap().narrow(1, 0, 2));
        assert_eq!(before, after);
        let free = attention.forward(&changed, None).unwrap().narrow(1, 0, 2);
        assert!((before - free).abs().max().double_value(&[]) > 1e-6, "without a mask it has");
    }
    let none = hiding(&Tensor::zeros([1, 3], (Kind::Int64, Device::Cpu)), &x).unwrap();
    assert!(attention.forward(&x, Some(&none)).unwrap().isfinite().all().int64_value(&[]) == 1);
}

#[test]
fn heads_divide_the_width() {
    for heads in [0, -1, 4] {
        let variables = nn::VarStore::new(Device::Cpu);
        assert!(matches!(attention(&variables, 6, heads), Err(Error::Parameters(_))), "{heads} heads");
    }
}

#[test]
fn ids_outside_of_the_vocabulary_and_other_arrays_are_refused() {
    let tokens = |ids: [i64; 2]| Tensor::from_slice(&[ids[0], ids[1], 1, 0]).view([1, 2, 2]);
    let read = TokenRows::read(&tokens([0, 4]), 5).unwrap();
    assert_eq!((Vec::<i64>::try_from(read.ids.view(-1)).unwrap(), read.mask.int64_value(&[0, 1])), (vec![0, 4], 0));
    for wrong in [tokens([0, 5]), tokens([-1, 0]), tokens([0, 1]).to_kind(Kind::Float), tokens([0, 1]).view([2, 2])] {
        assert!(matches!(TokenRows::read(&wrong, 5), Err(Error::Failed(_))), "{wrong:?}");
    }
    assert!(TokenRows::read(&Tensor::zeros([0, 2, 2], (Kind::Int64, Device::Cpu)), 5).is_ok());
}
