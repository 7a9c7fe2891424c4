;; Matrix times vectors, four results at a time: `memoryOf` in engine.js calls it.
;; A matrix has a row for each result. Width (numbers of a row) and height (rows) are
;; multiples of four, addresses are in bytes. While four rows of the matrix are near,
;; every vector is multiplied with them; a vector's results do not depend on the others.
(module
  (import "page" "memory" (memory 1))
  (func (export "product")
    (param $matrix i32) (param $inputs i32) (param $results i32)
    (param $vectors i32) (param $width i32) (param $height i32)
    (local $row i32) (local $vector i32) (local $stride i32)
    (local $w i32) (local $x i32) (local $end i32) (local $to i32)
    (local $w1 i32) (local $w2 i32) (local $w3 i32)
    (local $value v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local $e v128) (local $f v128)
    (local.set $stride (i32.shl (local.get $width) (i32.const 2)))
    (block $done (loop $rows
      (br_if $done (i32.ge_u (local.get $row) (local.get $height)))
      (local.set $vector (i32.const 0))
      (block $all (loop $vectors
        (br_if $all (i32.ge_u (local.get $vector) (local.get $vectors)))
        (local.set $w (local.get $matrix))
        (local.set $w1 (i32.add (local.get $w) (local.get $stride)))
        (local.set $w2 (i32.add (local.get $w1) (local.get $stride)))
        (local.set $w3 (i32.add (local.get $w2) (local.get $stride)))
        (local.set $x (i32.add (local.get $inputs)
          (i32.mul (local.get $vector) (local.get $stride))))
        (local.set $end (i32.add (local.get $x) (local.get $stride)))
        (local.set $a (v128.const f32x4 0 0 0 0))
        (local.set $b (local.get $a))
        (local.set $c (local.get $a))
        (local.set $d (local.get $a))
        (loop $numbers
          (local.set $value (v128.load (local.get $x)))
          (local.set $a (f32x4.add (local.get $a)
            (f32x4.mul (v128.load (local.get $w)) (local.get $value))))
          (local.set $b (f32x4.add (local.get $b)
            (f32x4.mul (v128.load (local.get $w1)) (local.get $value))))
          (local.set $c (f32x4.add (local.get $c)
            (f32x4.mul (v128.load (local.get $w2)) (local.get $value))))
          (local.set $d (f32x4.add (local.get $d)
            (f32x4.mul (v128.load (local.get $w3)) (local.get $value))))
          (local.set $w (i32.add (local.get $w) (i32.const 16)))
          (local.set $w1 (i32.add (local.get $w1) (i32.const 16)))
          (local.set $w2 (i32.add (local.get $w2) (i32.const 16)))
          (local.set $w3 (i32.add (local.get $w3) (i32.const 16)))
          (local.set $x (i32.add (local.get $x) (i32.const 16)))
          (br_if $numbers (i32.lt_u (local.get $x) (local.get $end))))
        ;; four sums of four numbers each: a0+a2 b0+b2 a1+a3 b1+b3, c and d likewise
        (local.set $e (f32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23
            (local.get $a) (local.get $b))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31
            (local.get $a) (local.get $b))))
        (local.set $f (f32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23
            (local.get $c) (local.get $d))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31
            (local.get $c) (local.get $d))))
        (local.set $to (i32.add (local.get $results) (i32.shl (i32.add
          (i32.mul (local.get $vector) (local.get $height)) (local.get $row))
          (i32.const 2))))
        (v128.store (local.get $to) (f32x4.add
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
            (local.get $e) (local.get $f))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
            (local.get $e) (local.get $f))))
        (local.set $vector (i32.add (local.get $vector) (i32.const 1)))
        (br $vectors)))
      (local.set $matrix (i32.add (local.get $matrix)
        (i32.shl (local.get $stride) (i32.const 2))))
      (local.set $row (i32.add (local.get $row) (i32.const 4)))
      (br $rows)))))
