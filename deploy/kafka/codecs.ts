import zlib from 'node:zlib';
import { lz4Compress, lz4Decompress, snappyCompress, snappyDecompress } from '@platformatic/wasm-utils';
import kafkajs from 'kafkajs';
import { PermanentError } from '../../schemas/errors.ts';

/**
 * Compression beside gzip, which the client has itself. Snappy and LZ4 in WebAssembly: their npm packages for this client are in slow
 * JavaScript, or want a compiler. Zstandard comes with Node.js from 22.15 on.
 */
type Codec = { compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>; decompress(buffer: Buffer): Promise<Buffer> };

const snappy: Codec = {
  compress: async ({ buffer }) => snappyCompress(buffer),
  decompress: async (buffer) => {
    if (!buffer.subarray(0, XERIAL_MAGIC.byteLength).equals(XERIAL_MAGIC)) return snappyDecompress(buffer);
    // The Java client's framing: a header of 16 bytes, then blocks with their lengths before them.
    const blocks: Buffer[] = [];
    for (let position = XERIAL_HEADER_BYTES; position + 4 <= buffer.byteLength; ) {
      const length = buffer.readUInt32BE(position);
      blocks.push(snappyDecompress(buffer.subarray(position + 4, position + 4 + length)));
      position += 4 + length;
    }
    return Buffer.concat(blocks);
  },
};
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const XERIAL_HEADER_BYTES = 16;

const lz4: Codec = { compress: async ({ buffer }) => lz4Compress(buffer), decompress: async (buffer) => lz4Decompress(buffer) };

/** Types of the Node.js that this is checked with do not know them yet. */
type Zstd = { readonly zstdCompressSync?: (buffer: Buffer) => Buffer; readonly zstdDecompressSync?: (buffer: Buffer) => Buffer };
const { zstdCompressSync, zstdDecompressSync } = zlib as Zstd; // The declarations are those of Node.js 20.

function zstd(): Codec {
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) throw new PermanentError('messages compressed with zstd need Node.js 22.15 or later; start this role with it, or let the producer use another compression');
  return { compress: async ({ buffer }) => zstdCompressSync(buffer), decompress: async (buffer) => zstdDecompressSync(buffer) };
}

export const hasZstd = zstdCompressSync !== undefined;

export function registerCodecs(): void {
  // It is declared for gzip only; the client looks codecs up by all of its types.
  const codecs = kafkajs.CompressionCodecs as Record<number, () => Codec>;
  codecs[kafkajs.CompressionTypes.Snappy] = () => snappy;
  codecs[kafkajs.CompressionTypes.LZ4] = () => lz4;
  codecs[kafkajs.CompressionTypes.ZSTD] = zstd;
}
