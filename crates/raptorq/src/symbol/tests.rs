//! Every instruction set against a table-free oracle.

use super::*;

/// Multiplication by shifting and reducing, sharing no table with the code under test.
fn oracle_mul(a: u8, b: u8) -> u8 {
    let mut product = 0u16;
    for bit in 0..8 {
        if b >> bit & 1 != 0 {
            product ^= u16::from(a) << bit;
        }
    }
    for bit in (8..15).rev() {
        if product >> bit & 1 != 0 {
            product ^= 0x11D << (bit - 8);
        }
    }
    product as u8
}

fn bytes(length: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    };
    (0..length).map(|_| next()).collect()
}

fn kernels() -> impl Iterator<Item = Kernel> {
    Isa::ALL.into_iter().filter_map(Kernel::with_isa)
}

#[test]
fn the_field_tables_agree_with_the_oracle() {
    for a in 0..=255 {
        for b in 0..=255 {
            assert_eq!(octet::mul(a, b), oracle_mul(a, b));
        }
    }
}

#[test]
fn detection_takes_the_widest_available_set() {
    let widest = Isa::ALL.into_iter().rfind(|isa| isa.is_available());
    assert_eq!(Some(Kernel::detect().isa()), widest);
    assert!(Kernel::with_isa(Isa::Portable).is_some());
}

#[test]
fn every_coefficient_is_multiplied_as_by_the_oracle() {
    let (from, old) = (bytes(200, 1), bytes(200, 2));
    for kernel in kernels() {
        for factor in 0..=255 {
            let mut to = old.clone();
            kernel.mul_add_assign(&mut to, factor, &from);
            let expected = |i: usize| old[i] ^ oracle_mul(factor, from[i]);
            assert!((0..200).all(|i| to[i] == expected(i)), "{kernel:?} factor {factor}");
            let mut to = from.clone();
            kernel.mul_assign(&mut to, factor);
            let expected = |i: usize| oracle_mul(factor, from[i]);
            assert!((0..200).all(|i| to[i] == expected(i)), "{kernel:?} factor {factor}");
        }
    }
}

#[test]
fn every_length_and_alignment_touches_exactly_its_octets() {
    let (from, old) = (bytes(400, 3), bytes(400, 4));
    for kernel in kernels() {
        for length in 0..=257 {
            for (a, b) in (0..64).map(|i| (i, (i * 29 + length) % 64)) {
                let factor = (length * 7 + a) as u8;
                let mut to = old.clone();
                kernel.mul_add_assign(&mut to[a..a + length], factor, &from[b..b + length]);
                for (i, &value) in to.iter().enumerate() {
                    let inside = (a..a + length).contains(&i);
                    let add = if inside { oracle_mul(factor, from[b + i - a]) } else { 0 };
                    assert_eq!(value, old[i] ^ add, "{kernel:?} {length} at {a}, {b}: octet {i}");
                }
            }
            let mut to = old.clone();
            kernel.add_assign(&mut to[1..=length], &from[..length]);
            assert!((0..length).all(|i| to[1 + i] == old[1 + i] ^ from[i]));
            assert_eq!(to[length + 1..], old[length + 1..]);
        }
    }
}

#[test]
fn the_common_length_is_what_is_combined() {
    for kernel in kernels() {
        let mut to = vec![1; 10];
        kernel.add_assign(&mut to, &[1; 4]);
        assert_eq!(to, [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
        kernel.add_assign(&mut to[..3], &[1; 99]);
        assert_eq!(to, [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]);
    }
}

/// A program of every kind of step, run by each instruction set at each tile width, against sums
/// worked out octet by octet.
#[test]
fn every_step_of_a_program_computes_what_it_says() {
    const ROWS: usize = 5;
    let inputs: Vec<Vec<u8>> = (0..ROWS).map(|i| bytes(300, 10 + i as u64)).collect();
    // Slots 0 to 4 get the inputs in reverse, then zero, then what slots 10 to 14 get in the end: the
    // inputs and input 1 besides.
    let load = Step::Load { to: vec![4, 3, 2, 1, 0] };
    let mut clear = SumsBuilder::new(Target::Slots, ROWS);
    for slot in 0..5 {
        clear.begin(slot, Some(4 - slot));
        clear.add(slot);
        clear.end();
    }
    let mut copy = SumsBuilder::new(Target::Slots, ROWS);
    for i in [10, 13, 11, 14, 12] {
        copy.begin(i, Some(i - 10));
        copy.end();
        copy.begin(i, None);
        copy.add(i);
        copy.end_unless_copy();
    }
    let mut sum = SumsBuilder::new(Target::Slots, 0).above(10).adding_below(10).asking_ahead(true);
    for i in 10..15 {
        sum.begin(i, Some(1));
        sum.add(i);
        sum.end();
    }
    let pairs = vec![(0, 2), (1, 0), (2, 1), (0, 1)];
    let scan = Step::Scan { to: 5, rows: 3, pairs: pairs.clone(), slots: vec![0, 1, 2, 3, 4] };
    let factors: Vec<u8> = (0..10).map(|i| i * 25 + 3).collect();
    let linear =
        Step::Linear { to: vec![8, 9], from: vec![0, 3, 5, 6, 7], factors: factors.clone() };
    let mut emit = SumsBuilder::new(Target::Outputs, 2);
    emit.begin(1, None);
    emit.add(8);
    emit.add(9);
    emit.end();
    emit.begin(0, Some(2));
    emit.add(9);
    emit.end();
    let copy = copy.finish();
    assert_eq!(copy.stores(), ROWS, "a copy of a slot to itself was kept");
    let steps = vec![
        load,
        Step::Sums(clear.finish()),
        Step::Sums(copy),
        Step::Sums(sum.finish()),
        scan,
        linear,
        Step::Sums(emit.finish()),
    ];
    let program = Program::new(15, ROWS as u32, 2, steps);

    let expected = |column: usize| {
        let mut slot: Vec<u8> = inputs.iter().map(|row| row[column] ^ inputs[1][column]).collect();
        let mut rows = [0u8; 3];
        let mut z = 0;
        for (c, &value) in slot.iter().enumerate() {
            z = oracle_mul(2, z) ^ value;
            if let Some(&(a, b)) = pairs.get(c) {
                rows[a as usize] ^= z;
                rows[b as usize] ^= z;
            }
        }
        for row in &mut rows {
            *row ^= z;
            z = oracle_mul(2, z);
        }
        slot.extend(rows);
        let from = [0, 3, 5, 6, 7];
        let linear = |i: usize| {
            from.iter()
                .enumerate()
                .fold(0, |sum, (j, &f)| sum ^ oracle_mul(factors[5 * i + j], slot[f]))
        };
        let (a, b) = (linear(0), linear(1));
        [inputs[2][column] ^ b, a ^ b]
    };
    for kernel in kernels() {
        for (lines, at) in [(1, 0), (1, 7), (2, 64), (4, 44)] {
            let rows = Inputs::new(inputs.iter().map(Vec::as_slice).collect(), 300).unwrap();
            let mut slab = zeroed(15 * lines);
            let mut output = vec![0xEE; 600];
            kernel.run(&program, &mut slab, lines, &rows, (at, Some(256)), &mut output, 300);
            for column in 0..300 {
                let inside = (at..at + 64 * lines).contains(&column);
                let values = if inside { expected(column) } else { [0xEE; 2] };
                let got = [output[column], output[300 + column]];
                assert_eq!(got, values, "{kernel:?} {lines} lines at {at}: octet {column}");
            }
        }
    }
}

#[test]
fn inputs_of_unequal_length_are_refused() {
    assert!(Inputs::new(vec![&[0; 4], &[0; 5]], 4).is_none());
}
